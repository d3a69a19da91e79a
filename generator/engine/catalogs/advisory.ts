/**
 * Advisory locks: the key that tells those of rolecall from others.
 */
import { raw } from '../../sql/template.ts';

/** First half of the advisory keys of our own calls; the second half is the role's oid. */
export const marker = raw('1919904099');
