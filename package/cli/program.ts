/**
 * The parser, built from the definitions of the commands.
 */
import { Argument as ParserArgument, Command as Parser, Option as ParserOption } from 'commander';
import type { Argument, Command, Option } from './command.ts';
import { commands, groups } from './commands/index.ts';
import { commonOptions, connectionOptions, optionsOf } from './options.ts';

/** What to do with a valid command line. */
export type Action = (
  command: Command,
  given: Record<string, unknown>,
  common: Record<string, unknown>,
) => Promise<void>;

export const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flags of an option, as the help has them: `--owner <ROLE>`. */
export const flagsOf = (name: string, { takes, short }: Option): string =>
  `${short === undefined ? '' : `-${short}, `}--${kebab(name)}${takes === undefined ? '' : ` <${takes}>`}`;

function parserOption(name: string, option: Option): ParserOption {
  const otherwise = option.otherwise === undefined ? '' : ` (default: ${option.otherwise})`;
  const repeats = option.many === true ? '; can be repeated' : '';
  const made = new ParserOption(flagsOf(name, option), `${option.about}${repeats}${otherwise}`);
  if (option.choices !== undefined) made.choices([...option.choices]);
  if (option.many === true) made.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
  return made;
}

/** The value of an option that was not given. */
const nothing = ({ takes, many }: Option): unknown => (many === true ? [] : takes === undefined ? false : undefined);

/** The usage line of a command. */
export const usageOf = (command: Command): string =>
  ['[options]', ...Object.entries(command.arguments ?? {}).map(([name, argument]) => argumentOf(name, argument))].join(
    ' ',
  );

const argumentOf = (name: string, { optional }: Argument): string =>
  optional === true ? `[${kebab(name)}]` : `<${kebab(name)}>`;

/** What the help of a command shows below the options. */
export function notes(command: Command): string {
  const width = Math.max(...Object.keys(command.examples).map((example) => example.length));
  const examples = Object.entries(command.examples).map(
    ([example, about]) => `  rolecall ${example.padEnd(width)}  # ${about}`,
  );
  const columns = command.where === 'database' ? {} : (command.columns ?? {});
  const names = Object.keys(columns);
  const shape = command.where === 'databases' ? '{"databases": [{database, status, rows, notices, error}]}' : '[row]';
  const result = names.length === 0 ? [] : ['', `JSON: ${shape}, each row with ${names.join(', ')}`];
  return [
    '',
    'Examples:',
    ...examples,
    ...result,
    '',
    'Exit status: 0 done, 1 failed, 2 usage, 3 differences found',
  ].join('\n');
}

function add(parent: Parser, command: Command, name: string, action: Action): void {
  const made = parent
    .command(name)
    .helpOption(...helpOption)
    .summary(command.summary)
    .description(describeCommand(command));
  for (const [argument, definition] of Object.entries(command.arguments ?? {}))
    made.addArgument(new ParserArgument(argumentOf(argument, definition), definition.about));
  const own = command.options ?? {};
  for (const [option, definition] of Object.entries(own)) made.addOption(parserOption(option, definition));
  for (const [heading, options] of optionsOf(command)) {
    made.optionsGroup(heading);
    for (const [option, definition] of Object.entries(options)) made.addOption(parserOption(option, definition));
  }
  made.addHelpText('after', notes(command));
  made.action(async (...parsed: unknown[]) => {
    const options = made.opts();
    const names = Object.keys(command.arguments ?? {});
    const given = Object.fromEntries(
      Object.entries(own).map(([key, option]) => [key, options[key] ?? nothing(option)]),
    );
    names.forEach((key, index) => (given[key] = parsed[index]));
    const common = Object.fromEntries(
      Object.entries({ ...connectionOptions, ...commonOptions }).map(([key, option]) => [
        key,
        options[key] ?? nothing(option),
      ]),
    );
    await action(command, given, common);
  });
}

const about = `Creates and manages the roles of PostgreSQL databases: users, reporting roles, policies, and what each role can do.

Connects as psql does, by the PG* environment variables, or by DATABASE_URL or --url.`;

/** The first paragraph of the help. */
export const describeCommand = ({ summary, details }: Command): string =>
  `${summary}.${details === undefined ? '' : `\n\n${details}`}`;

const helpOption = ['-h, --help', 'show this help'] as const;
const withHelp = (parser: Parser): Parser =>
  parser.helpOption(...helpOption).helpCommand('help [command]', 'Show the help of a command');

const addGroup = (program: Parser, name: string): Parser => {
  const about = groups[name] ?? '';
  return withHelp(program.command(name).summary(about).description(`${about}.`));
};

export function makeProgram(version: string, action: Action): Parser {
  const program = new Parser('rolecall')
    .description(about)
    .version(version, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .showHelpAfterError('(run with --help to see what there is)')
    .configureHelp({ showGlobalOptions: false });
  const parents = new Map<string, Parser>();
  for (const [heading, some] of Object.entries(commands)) {
    program.commandsGroup(`${heading}:`);
    for (const command of some) {
      const [first = '', second] = command.name.split(' ');
      if (second === undefined) {
        add(program, command, first, action);
        continue;
      }
      const known = parents.get(first) ?? addGroup(program, first);
      parents.set(first, known);
      add(known, command, second, action);
    }
  }
  program.commandsGroup('Other:');
  return withHelp(program);
}
