/**
 * Compares a document with the published schema of policies. The code declared here is generated from
 * the schema when the package is built, see generator/emit/bundle.ts: it is smaller than a validator, and loads at
 * once.
 */
import type { ValidateFunction } from 'ajv/dist/2020.js';

export declare const validate: ValidateFunction;
