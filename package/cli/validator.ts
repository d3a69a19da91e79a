/**
 * Compares a document with the published schema of policies. What is declared here is code that the validator makes
 * of the schema when the package is made, see generator/emit/bundle.ts: it is smaller than the validator, and there
 * at once.
 */
import type { ValidateFunction } from 'ajv/dist/2020.js';

export declare const validate: ValidateFunction;
