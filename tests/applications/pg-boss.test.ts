/** pg-boss, a job queue: it creates its schema when it starts, and a partition for each queue at run time. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import PgBoss from 'pg-boss';
import { type Cluster, startCluster, until } from '../support/cluster.ts';
import { type Application, makeApplication, provisioners } from './application.ts';

let cluster: Cluster;

before(async () => {
  cluster = await startCluster();
});

after(() => cluster.stop());

async function start({ url }: Application): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url });
  boss.on('error', (error) => assert.fail(error));
  await boss.start();
  return boss;
}

/** Adds a job to a queue, and does it. */
async function works(boss: PgBoss, queue: string): Promise<void> {
  const done: unknown[] = [];
  const id = await boss.send(queue, { name: 'Ada' });
  assert.ok(id);
  await boss.work<{ name: string }>(queue, { pollingIntervalSeconds: 0.5 }, (jobs) => {
    done.push(...jobs.map(({ data }) => data));
    return Promise.resolve();
  });
  await until('the job to be done', async () => (await boss.getJobById(queue, id))?.state === 'completed');
  await boss.offWork(queue);
  assert.deepEqual(done, [{ name: 'Ada' }]);
}

const partitions = (names: string[]) => names.filter((name) => /^j[0-9a-f]{20,}$/.test(name));

for (const by of provisioners) {
  test(`${by}: provisioned before its migrations; its queues appear later, go, and come again`, async () => {
    const application = await makeApplication(cluster, by, 'boss', 'pgboss');
    await application.admin.query(`CREATE SCHEMA pgboss AUTHORIZATION ${application.login.user}`);
    await application.provision();
    const boss = await start(application);
    await boss.createQueue('letters');
    await works(boss, 'letters');
    const first = await application.reads();
    assert.ok(first.includes('job') && first.includes('archive') && first.includes('queue'));
    const queues = partitions(first).length; // It has one of its own.

    // The partition goes with its queue, and the one that comes again has the same name.
    await boss.createQueue('parcels');
    const second = partitions(await application.reads());
    assert.equal(second.length, queues + 1);
    await boss.deleteQueue('parcels');
    assert.equal(partitions(await application.reads()).length, queues);
    await boss.createQueue('parcels');
    assert.deepEqual(partitions(await application.reads()), second);
    await works(boss, 'parcels');
    assert.deepEqual(await application.provision(), []);

    // If the jobs are withheld, so are their partitions; one that is created later, from the next run on.
    const withheld = ['job', 'archive'];
    const everyPartition = partitions(await application.reads());
    await application.provision(withheld);
    await application.reads([...withheld, ...everyPartition]);
    await works(boss, 'letters');
    await boss.createQueue('more');
    await application.provision(withheld);
    const added = partitions(await application.tables()).filter((name) => !everyPartition.includes(name));
    assert.equal(added.length, 1);
    await application.reads([...withheld, ...everyPartition, ...added]);
    await works(boss, 'more');
    await boss.stop({ graceful: false });
    await application.end();
  });

  test(`${by}: provisioned after its migrations`, async () => {
    const application = await makeApplication(cluster, by, 'later_boss', 'pgboss');
    const boss = await start(application);
    await boss.createQueue('letters');
    await application.provision([], null);
    const queues = partitions(await application.reads()).length;
    await works(boss, 'letters');
    await boss.createQueue('parcels');
    assert.equal(partitions(await application.reads()).length, queues + 1);
    await works(boss, 'parcels');
    await boss.stop({ graceful: false });
    // A second start finds its schema as it left it.
    const again = await start(application);
    await works(again, 'letters');
    await again.stop({ graceful: false });
    assert.deepEqual(await application.provision([], null), []);
    await application.end();
  });
}
