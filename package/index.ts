/**
 * The npm package rolecall: the typed client with its adapters, `install`, and `verifier`.
 */
export * from '../extension/client/rolecall.ts';
export type { Policy } from '../extension/client/policy.ts';
export * from './adapters.ts';
export { verifier } from './verifier.ts';
export { install, type Installation, type Way } from './install.ts';
