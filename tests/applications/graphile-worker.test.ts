/**
 * graphile-worker, a job queue: it creates the tables of its schema when it starts. On the way from 0.13 to 0.17 its
 * migrations replace the table of the jobs, rename all tables, and create a view with the old name.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as worker from 'graphile-worker';
import * as earlier from 'graphile-worker-before';
import { type Cluster, startCluster, until } from '../support/cluster.ts';
import { type Application, makeApplication, provisioners } from './application.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

interface Options {
  connectionString: string;
  noHandleSignals: boolean;
}
interface Version {
  quickAddJob(options: Options, task: string, payload: object): Promise<unknown>;
  runOnce(options: Options & { taskList: Record<string, (payload: unknown) => void> }): Promise<void>;
}
const quiet = () => () => undefined;
const now: Version = {
  quickAddJob: (options, task, payload) =>
    worker.quickAddJob({ ...options, logger: new worker.Logger(quiet) }, task, payload),
  runOnce: (options) => worker.runOnce({ ...options, logger: new worker.Logger(quiet) }),
};
const before17: Version = {
  quickAddJob: (options, task, payload) =>
    earlier.quickAddJob({ ...options, logger: new earlier.Logger(quiet) }, task, payload),
  runOnce: (options) => earlier.runOnce({ ...options, logger: new earlier.Logger(quiet) }),
};

/** Adds a job, and lets the package do it; both make or migrate the schema first. */
async function works({ url }: Application, { quickAddJob, runOnce }: Version): Promise<void> {
  const done: unknown[] = [];
  const options = { connectionString: url, noHandleSignals: true };
  await quickAddJob(options, 'greet', { name: 'Ada' });
  await runOnce({ ...options, taskList: { greet: (payload) => void done.push(payload) } });
  assert.deepEqual(done, [{ name: 'Ada' }]);
}

const tables = [
  '_private_job_queues',
  '_private_jobs',
  '_private_known_crontabs',
  '_private_tasks',
  'jobs',
  'migrations',
];

for (const by of provisioners) {
  test(`${by}: provisioned before its first start, in a schema that is made for it`, async () => {
    const application = await makeApplication(cluster, by, 'queue', 'graphile_worker');
    await application.admin.query(`CREATE SCHEMA graphile_worker AUTHORIZATION ${application.login.user}`);
    await application.provision();
    assert.deepEqual(await application.reads(), []);
    await works(application, now);
    assert.deepEqual(await application.reads(), tables);
    assert.deepEqual(await application.provision(), []);
    await works(application, now);
    await application.end();
  });

  test(`${by}: a schema that provisioning has made is not the package's, until it is handed over`, async () => {
    const application = await makeApplication(cluster, by, 'handed_queue', 'graphile_worker');
    await application.provision();
    await assert.rejects(works(application, now), { code: '42501' });
    await application.provisioner.query(`ALTER SCHEMA graphile_worker OWNER TO ${application.login.user}`);
    await works(application, now);
    assert.deepEqual(await application.reads(), tables);
    assert.deepEqual(await application.provision(), []);
    await application.end();
  });

  test(`${by}: provisioned between two versions, of which the later one replaces the tables`, async () => {
    const application = await makeApplication(cluster, by, 'earlier_queue', 'graphile_worker');
    const withheld = ['jobs', '_private_jobs'];
    await works(application, before17);
    await application.provision();
    assert.deepEqual(await application.reads(), ['job_queues', 'jobs', 'known_crontabs', 'migrations']);
    // The table, and the sequence that belongs to it.
    const revoked = 'revoke_privilege graphile_worker applied';
    assert.deepEqual(await application.provision(withheld), [revoked, revoked]);
    await application.reads(withheld);
    await works(application, before17);

    await works(application, now);
    await application.provision(withheld);
    assert.deepEqual(await application.reads(withheld), tables);
    await works(application, now);
    assert.deepEqual(await application.provision(withheld), []);
    await application.provision();
    assert.deepEqual(await application.reads(), tables);
    await application.end();
  });

  test(`${by}: provisioned after its migrations, while it does jobs`, async () => {
    const application = await makeApplication(cluster, by, 'later_queue', 'graphile_worker');
    await works(application, now);
    let done = 0;
    const options = { connectionString: application.url, noHandleSignals: true, logger: new worker.Logger(quiet) };
    const runner = await worker.run({
      ...options,
      concurrency: 2,
      pollInterval: 50,
      taskList: { count: () => void done++ },
    });
    for (let i = 0; i < 20; i++) {
      await runner.addJob('count', { i });
      if (i % 5 === 0) await application.provision([], null);
    }
    await until('the jobs to be done', () => done === 20);
    await runner.stop();
    assert.deepEqual(await application.provision([], null), []);
    assert.deepEqual(await application.reads(), tables);
    await application.end();
  });
}
