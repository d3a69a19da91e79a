/**
 * Advisory locks: the key by which those of rolecall differ from others.
 */
import { raw } from '../../sql/template.ts';

/** First half of the advisory keys of our own calls; the second half is the role's oid. */
export const marker = raw('1919904099');
