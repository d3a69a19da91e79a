/**
 * The released versions, in their order, with the SHA-256 of their install scripts: these never change again.
 */
export const released: Readonly<Record<string, string>> = {};
