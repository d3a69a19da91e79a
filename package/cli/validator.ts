/**
 * Compares a document with the published schema of policies. In the package this file is the code that the validator
 * makes of the schema, see generator/emit/bundle.ts: it is smaller than the validator, and there at once.
 */
import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js';
import schema from '../../extension/client/policy.schema.json' with { type: 'json' };

export const validatorOptions: Options = { allErrors: true, verbose: true, strict: false, logger: false };
export const validate: ValidateFunction = new Ajv2020(validatorOptions).compile(schema);
