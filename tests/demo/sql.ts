/** `make demo-sql`: a prompt for SQL on the demo's server, where there is no psql. AS=role logs in as that role. */
import { createInterface } from 'node:readline';
import { Cluster } from '../support/cluster.ts';
import { Session } from '../support/psql.ts';
import { readNote } from './directory.ts';

try {
  const { version, port, database, passwords, directory } = readNote();
  const role = process.env.AS || 'postgres';
  if (!(role in passwords)) throw new Error(`AS=${role}: the logins are ${Object.keys(passwords).join(', ')}`);
  const cluster = new Cluster(version, directory, '');
  cluster.port = port;
  const session = await Session.open(cluster, database, role, passwords);
  const input = createInterface({ input: process.stdin, output: process.stdout, terminal: process.stdin.isTTY });
  const ask = () => {
    input.setPrompt(statement === '' ? session.prompt : session.prompt.replace('=', '-'));
    input.prompt();
  };
  if (process.stdin.isTTY) console.log('SQL ends with a semicolon; \\c - ROLE logs in as another role; \\q ends this.');
  let statement = '';
  ask();
  for await (const line of input) {
    const isCommand = statement === '' && line.startsWith('\\');
    if (isCommand && line.trim() === '\\q') break;
    statement += statement === '' ? line : `\n${line}`;
    if (statement.trim() === '') statement = '';
    if (isCommand || /;\s*$/.test(line)) {
      const output = await session.run(statement).catch((error: Error) => error.message);
      statement = '';
      if (output !== '') console.log(output);
    }
    ask();
  }
  input.close();
  await session.close();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
