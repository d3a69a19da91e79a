/**
 * The extension for PGlite: `new PGlite({ extensions: { rolecall } })`, then `CREATE EXTENSION rolecall`.
 */
export const rolecall = {
  name: 'rolecall',
  setup: async (_pglite: unknown, emscriptenOpts: unknown): Promise<{ emscriptenOpts: unknown; bundlePath: URL }> => ({
    emscriptenOpts,
    bundlePath: new URL('../../rolecall.tar.gz', import.meta.url),
  }),
};
