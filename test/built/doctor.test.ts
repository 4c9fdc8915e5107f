import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { DoctorReport } from '../../src/cli/doctor/command.ts'
import { newFolder, shootout } from './shootout.ts'

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
