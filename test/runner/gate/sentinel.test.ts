import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Sentinel } from '../../../src/runner/gate/sentinel.ts'

const folder = mkdtempSync(join(tmpdir(), 'shootout-test-'))

test('reads pressure, stolen time and throttling from the kernel, and both rulers', () => {
  let step = 0
  const files: Readonly<Record<string, () => string>> = {
    '/proc/pressure/cpu': () => `some avg10=1.00 total=${1000 * step}\nfull avg10=0.00 total=0\n`,
    '/proc/pressure/io': () => 'some avg10=0.00 total=7\nfull avg10=0.00 total=0\n',
    '/proc/stat': () => `cpu  ${100 + 75 * step} 0 0 0 0 0 0 ${25 * step} 0 0\ncpu0 1 2 3\n`,
    '/proc/self/cgroup': () => '0::/box\n',
    '/sys/fs/cgroup/box/cpu.stat': () => `usage_usec 5\nthrottled_usec ${10 * step}\n`,
  }
  const sentinel = new Sentinel(folder, (path) => files[path]?.())
  expect(sentinel.missing).toEqual([])
  step = 1
  const reading = sentinel.read()
  expect(reading.stolen).toBe(0.25)
  expect(reading.ioPressure).toBe(0)
  expect(reading.cpuPressure).toBeGreaterThan(0)
  expect(reading.cpuPressure! / reading.throttled!).toBeGreaterThan(50)
  expect(reading).not.toHaveProperty('memoryPressure')
  expect(Math.min(reading.cpuRulerNs, reading.fsyncRulerNs)).toBeGreaterThan(0)
})

test('without the files of Linux it has its rulers, and names what is missing', () => {
  const sentinel = new Sentinel(folder, () => undefined)
  expect(Object.keys(sentinel.read())).toEqual(['cpuRulerNs', 'fsyncRulerNs'])
  expect(sentinel.missing).toHaveLength(3)
})
