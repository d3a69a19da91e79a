/**
 * The command `rolecall`. Exit status: 0 done, 1 failed, 2 usage, 3 differences found.
 */
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { Interrupted, UsageError } from './command.ts';
import { describe, failure } from './failure.ts';
import { makeProgram } from './program.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// The list of processes shows the arguments, and a URL can contain a password.
process.title = 'rolecall';

// Warnings about our libraries are of no use to users.
process.noDeprecation = true;

// A reader that stops early, such as head, is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

async function main(): Promise<number> {
  let status = 0;
  const program = makeProgram(version, async (command, given, common) => {
    const { interrupt, runCommand } = await import('./run.ts');
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
    status = await runCommand(command, given as never, common as never);
  });
  const completes = process.argv[2] === 'complete';
  if (completes) (await import('./completion.ts')).addCompletion(program);
  const everyCommand = (parser: typeof program): void => {
    parser.exitOverride();
    parser.commands.forEach(everyCommand);
  };
  everyCommand(program);
  try {
    await program.parseAsync();
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof Interrupted) {
      console.error('interrupted: nothing was changed');
      return 1;
    }
    console.error(describe(failure(error)));
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = await main();
