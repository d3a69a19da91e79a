/**
 * Completions for the shells: `rolecall complete bash`.
 */
import tab from '@bomb.sh/tab/commander';
import type { Command } from 'commander';

export function addCompletion(program: Command): void {
  tab(program);
}
