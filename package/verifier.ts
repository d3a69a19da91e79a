/**
 * SCRAM-SHA-256 verifiers, computed outside of the database as rolecall.scram_sha_256() does, so that no plain password
 * has to be sent there.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { ranges } from '../extension/client/stringprep.ts';

type Class = keyof typeof ranges;
const classes = Object.entries(ranges) as [Class, readonly number[]][];

function classOf(codePoint: number): Class | undefined {
  return classes.find(([, bounds]) => {
    const after = bounds.findIndex((bound) => bound > codePoint);
    return after % 2 === 1; // Before the first range it is 0, after the last one -1.
  })?.[0];
}

/**
 * A password as the server and libpq prepare it (SASLprep, RFC 4013). Like them, it takes a password that SASLprep
 * refuses as it is.
 */
export function saslprep(password: string): string {
  if (/^[\x01-\x7f]*$/.test(password)) return password;
  const mapped = [...password].map((character) => ({ character, class: classOf(character.codePointAt(0) ?? 0) }));
  if (mapped.some((one) => one.class === 'forbidden')) return password;
  const kept = mapped.filter((one) => one.class !== 'nothing');
  const isRightToLeft = (one: (typeof kept)[number] | undefined): boolean => one?.class === 'right_to_left';
  const mixed =
    kept.some(isRightToLeft) &&
    !(
      kept.every((one) => one.class !== 'left_to_right') &&
      isRightToLeft(kept[0]) &&
      isRightToLeft(kept[kept.length - 1])
    );
  if (kept.length === 0 || mixed) return password;
  return kept
    .map((one) => (one.class === 'space' ? ' ' : one.character))
    .join('')
    .normalize('NFKC');
}

const complete =
  /^SCRAM-SHA-256\$[1-9]\d{0,8}:([A-Za-z\d+/]{4})*([A-Za-z\d+/]{2}(==|[A-Za-z\d+/](=|[A-Za-z\d+/])))\$[A-Za-z\d+/]{43}=:[A-Za-z\d+/]{43}=$/;

/** Whether the text is a verifier already. */
export const isVerifier = (text: string): boolean => complete.test(text);

/**
 * A SCRAM-SHA-256 verifier of a password, in the form in which PostgreSQL stores it, for any argument `password`
 *
 * @param password plain text
 * @param iterations rounds of hashing; more are slower to guess, and slower to log in with
 * @returns `SCRAM-SHA-256$iterations:salt$stored key:server key`
 * @throws RangeError - the password is empty, an MD5 hash or an incomplete verifier, holds what no password of
 *   PostgreSQL can, or iterations is not a whole number from 1 to 2147483647
 */
export function verifier(password: string, iterations = 4096): string {
  if (password === '') throw new RangeError('password must not be empty');
  if (/^md5[0-9a-f]{32}$/.test(password) || (password.startsWith('SCRAM-SHA-256$') && !complete.test(password)))
    throw new RangeError('password must not be an MD5 hash or an incomplete SCRAM-SHA-256 verifier');
  // Half of a surrogate pair has no form in UTF-8.
  if (/\0|\p{Surrogate}/u.test(password)) throw new RangeError('password must be text without NUL characters');
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > 0x7fffffff)
    throw new RangeError('iteration count must be at least 1');
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(saslprep(password), salt, iterations, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const keys = `${storedKey}:${hmac('Server Key').toString('base64')}`;
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${keys}`;
}
