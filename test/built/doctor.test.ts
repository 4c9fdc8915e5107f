import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { DoctorReport } from '../../src/cli/doctor/command.ts'
import { mainPath, newFolder, shootout } from './shootout.ts'

test('the doctor looks at this machine and at every storage, and leaves nothing behind', async () => {
  const folder = newFolder()
  const { code, stdout } = await shootout(['doctor', '--json', '--folder', folder], folder)
  expect(code).toBe(0)
  const report = JSON.parse(stdout) as DoctorReport
  expect(report.findings.map(({ check }) => check)).toEqual(expect.arrayContaining(['node', 'load', 'sync']))
  for (const { state, cost, found } of report.findings) {
    expect(found).not.toBe('')
    expect(cost !== undefined).toBe(state === 'costs')
  }
  expect(report.ruler.medianNs).toBeGreaterThan(0)
  const required = (process.env['SHOOTOUT_REQUIRE'] ?? '').split(',').filter((name) => name !== '')
  const available = report.storages.filter((one) => one.available).map(({ storage }) => storage)
  expect(available).toEqual(expect.arrayContaining(['memory', 'file', ...required]))
  for (const one of report.storages) if (!one.available) expect(one.reason).not.toBe('')
  expect(readdirSync(folder)).toEqual([])
})

test('a run that was killed leaves no process behind, and its folder until the next command', async () => {
  const folder = newFolder()
  const args = [
    'run',
    '--storage',
    'file',
    '--scenario',
    'update',
    '--objects',
    '1',
    '--concurrency',
    'threads:2',
  ]
  const run = spawn(process.execPath, [mainPath, ...args, '--folder', folder, '--out', `${folder}/r.jsonl`], {
    cwd: folder,
    stdio: 'ignore',
  })
  const workers = () =>
    execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .flatMap(([pid, parent]) => (parent === run.pid ? [pid!] : []))
  await expect.poll(() => workers().length).toBeGreaterThan(0)
  const started = workers()
  run.kill('SIGKILL')
  const isAlive = (pid: number) => existsSync(`/proc/${pid}/stat`)
  await expect.poll(() => started.filter(isAlive)).toEqual([])
  const left = readdirSync(folder).filter((name) => name !== 'r.jsonl')
  expect(left).toHaveLength(1)
  const { stderr } = await shootout(['doctor', '--no-storages', '--folder', folder], folder)
  expect(stderr).toContain(`removing ${folder}/${left[0]}`)
  expect(readdirSync(folder)).toEqual(['r.jsonl'])
})
