/**
 * What random tests begin from. `make test` draws the same each time, so that a run that fails can be had again;
 * `make stress` draws something new, and SEED in the environment draws what the run that printed it drew.
 */
export const seed = Number(process.env.SEED || 1);
console.log(`SEED=${seed}`);
