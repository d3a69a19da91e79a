/**
 * The released versions, in their order, with the SHA-256 of their install scripts: these never change again.
 */
export const released: Readonly<Record<string, string>> = {
  '0.2.0': '33bd5ac3b99be1d1608f6364416cbac1a58922acab8fceed4f0728b8b59b2eaf',
};
