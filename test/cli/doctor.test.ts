/** What the doctor says of systems that we do not have: their files, in a folder of our own instead of the root. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDisk, checks, type System } from '../../src/cli/doctor/checks.ts'
import { renderDoctor } from '../../src/cli/doctor/command.ts'
import { applySettings, restoreSettings } from '../../src/cli/doctor/settings.ts'
import { coded } from '../coded.ts'

function systemOf(files: Readonly<Record<string, string>>, given: Partial<System> = {}): System {
  const root = mkdtempSync(join(tmpdir(), 'shootout-root-'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, cpus: 4, memoryBytes: 8 * 1024 ** 3, node: 'v22.1.0', ...given }
}

const found = (system: System) =>
  Object.fromEntries(checks.map((check) => check(system)).map((one) => [one.check, one]))

const cpu = 'sys/devices/system/cpu'
const laptop = {
  [`${cpu}/cpu0/cpufreq/scaling_governor`]: 'powersave\n',
  [`${cpu}/cpu1/cpufreq/scaling_governor`]: 'performance\n',
  [`${cpu}/intel_pstate/no_turbo`]: '0\n',
  'proc/loadavg': '3.90 2.00 1.00 1/100 4242\n',
  'proc/stat': 'cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 1 1\n',
  'proc/swaps': 'Filename Type Size Used Priority\n/swap file 1000 512 -2\n',
  'proc/pressure/cpu': 'some avg10=1.00 avg60=12.50 avg300=0.00 total=1\n',
  'proc/pressure/memory': 'some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n',
  'proc/self/cgroup': '0::/box\n',
  'sys/fs/cgroup/box/cpu.max': '150000 100000\n',
  'sys/fs/cgroup/box/memory.max': '1073741824\n',
}

test('what costs something is said with its numbers and the command that changes it', () => {
  const all = found(systemOf(laptop))
  expect(all).toMatchObject({
    node: { state: 'fine' },
    governor: {
      state: 'costs',
      found: 'powersave on 1 of 2 processors',
      command: expect.stringContaining('cpupower'),
    },
    turbo: { state: 'costs', command: `echo 1 | sudo tee /${cpu}/intel_pstate/no_turbo` },
    load: { state: 'costs', found: '3.9 on 4 processors' },
    pressure: { state: 'costs', found: 'cpu 12.5 %, memory 0 % of the last minute' },
    steal: { state: 'costs', found: '10.00 % since the start of the system' },
    swap: { state: 'costs', found: '512 KB in use' },
    'processor limit': { state: 'costs', found: '1.50 of 4 processors' },
    memory: { state: 'costs', found: '1.00 GB for this group' },
  })
})

test('a quiet machine has nothing to be said about', () => {
  const quiet = systemOf({
    [`${cpu}/cpu0/cpufreq/scaling_governor`]: 'performance',
    [`${cpu}/cpufreq/boost`]: '0',
    'proc/loadavg': '0.10 0.10 0.10 1/100 4242',
    'proc/stat': 'cpu  100 0 100 700 0 0 0 0 0 0',
    'proc/swaps': 'Filename Type Size Used Priority',
    'proc/pressure/cpu': 'some avg10=0.00 avg60=0.10 avg300=0.00 total=1',
    'proc/self/cgroup': '4:memory:/x\n1:cpu:/x',
    'sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '-1',
    'sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100000',
    'sys/fs/cgroup/memory/x/memory.limit_in_bytes': '9223372036854771712',
  })
  expect(Object.values(found(quiet)).filter(({ state }) => state !== 'fine')).toEqual([])
})

test('a limit of the older kind is read, too', () => {
  const system = systemOf({
    'proc/self/cgroup': '1:cpu:/x',
    'sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '50000',
    'sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100000',
  })
  expect(found(system)['processor limit']).toMatchObject({ found: '0.50 of 4 processors' })
})

test('what cannot be seen is said once, in one line', () => {
  const findings = checks.map((check) => check(systemOf({})))
  expect(findings.filter(({ state }) => state === 'costs')).toEqual([])
  const text = renderDoctor(
    { format: 1, ruler: { medianNs: 5e6, spread: 0.02 }, findings, storages: [] },
    { width: 100, color: false },
  )
  expect(text.match(/not visible/g)).toHaveLength(1)
  expect(text).not.toContain('--apply')
})

test('a disk is judged by its syncs', () => {
  const disk = (fileSystem: string, fsyncProbeNs: number) =>
    checkDisk({ folder: '/x', fileSystem, fsyncProbeNs })
  expect(disk('ext4', 400_000).state).toBe('fine')
  expect(disk('tmpfs', 900).command).toContain('--folder')
  expect(disk('ext4', 900).cost).toContain('before the data are safe')
  expect(disk('ext4', 40e6).cost).toContain('disappear')
})

test('settings are applied when asked to, and put back as they were', () => {
  const { root } = systemOf(laptop)
  const memory = join(root, 'home/doctor.json')
  const settings = checks.flatMap((check) => check(systemOf(laptop)).settings ?? [])
  const read = () => settings.map(({ path }) => readFileSync(join(root, path), 'utf8').trim())
  expect(read()).toEqual(['powersave', '0'])
  applySettings(root, settings, memory)
  expect(read()).toEqual(['performance', '1'])
  expect(() => applySettings(root, settings, memory)).toThrow(coded('already-applied', '--restore'))
  expect(restoreSettings(root, memory)).toHaveLength(2)
  expect(read()).toEqual(['powersave', '0'])
  expect(existsSync(memory)).toBe(false)
  expect(restoreSettings(root, memory)).toBeUndefined()
})

const governor = `${cpu}/cpu0/cpufreq/scaling_governor`

test('what is not a setting of ours is not written, and nothing else either', () => {
  const { root } = systemOf(laptop)
  const settings = [
    { path: governor, value: 'performance' },
    { path: 'proc/loadavg', value: '0' },
  ]
  expect(() => applySettings(root, settings, join(root, 'doctor.json'))).toThrow('not a setting of ours')
  expect(readFileSync(join(root, governor), 'utf8').trim()).toBe('powersave')
})

// Not even root may write this one.
test.runIf(existsSync('/proc/version'))('where one setting cannot be written, none is changed', () => {
  const { root } = systemOf(laptop)
  const memory = join(root, 'doctor.json')
  const turbo = `${cpu}/intel_pstate/no_turbo`
  rmSync(join(root, turbo))
  symlinkSync('/proc/version', join(root, turbo))
  const settings = [
    { path: governor, value: 'performance' },
    { path: turbo, value: '1' },
  ]
  expect(() => applySettings(root, settings, memory)).toThrow(coded('setting-unwritable', turbo))
  expect(readFileSync(join(root, governor), 'utf8').trim()).toBe('powersave')
  expect(existsSync(memory)).toBe(false)
})
