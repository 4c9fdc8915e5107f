/** `shootout check` of storages that are modules of their own and break one promise each, as their author would run it. */

import { expect, test } from 'vitest'
import { fixture, shootout } from './shootout.ts'

const broken = (name: string) => fixture(`broken-storages/${name}.js`)

test.each([
  ['lost-invalidation', /lost invalidation/],
  ['stale-read', /the object is "first", should be "second"/],
  ['stale-read', /stale read: the snapshot is at \d+, but object \d+ was read from it at revision \d+/],
  ['torn-commit', /the number of different values in one snapshot .* is 2, should be 1/],
])('%s is found, and said', async (name, message) => {
  const { code, stdout, stderr } = await shootout(['check', broken(name)])
  expect([code, stderr]).toEqual([1, ''])
  expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(message)
})

test('an error from a module of the user is not called a defect of ours', async () => {
  const { code, stderr } = await shootout(['check', broken('throws-when-opened')])
  expect(stderr).toMatch(
    /^shootout: .*the disk is on fire\nIt was thrown at file:.*throws-when-opened\.js:\d+/,
  )
  expect(stderr).not.toContain('defect')
  expect(code).toBe(2)
})

test('what is rejected and handled by nobody fails the behaviour that it happens in', async () => {
  const { code, stdout, stderr } = await shootout([
    'check',
    broken('rejected-aside'),
    '--only',
    'everything is gone',
  ])
  expect([code, stderr]).toEqual([1, ''])
  expect(stdout).toMatch(/✗ zap: .*\n {4}rejected aside\n/)
})

test('what is rejected and handled a moment later is nobody’s failure', async () => {
  const { code, stderr } = await shootout(['check', broken('handled-late'), '--only', 'zap'])
  expect([code, stderr]).toEqual([0, ''])
})

test('a vote that is never answered fails what waits for it, and after three the rest is given up', async () => {
  const { code, stdout } = await shootout(['check', broken('endless-vote'), '--timeout', '2s'])
  expect(code).toBe(1)
  expect(stdout).toMatch(/this did not end within 2\.00 s; waiting for transaction\.vote \([\d.]+ m?s\)/)
  expect(stdout).toMatch(/ {4}at .*dist\/conformance\/topics\//)
  expect(stdout).toMatch(/\d{3} behaviours: not checked, because 3 behaviours before it ran out of time/)
  expect(stdout).toMatch(/behaviours hold, 3 do not, \d{3} were not checked, \d+ do not apply\n$/)
})

test('as JSON, a behaviour that hangs has a code, and those that were given up are told apart', async () => {
  const { code, stdout } = await shootout(['check', broken('endless-vote'), '--timeout', '2s', '--json'])
  expect(code).toBe(1)
  const { behaviours, failed, givenUp, held } = JSON.parse(stdout) as {
    behaviours: { status: string; error?: { code: string; details: object } }[]
    failed: number
    givenUp: number
    held: number
  }
  const codesOf = (status: string) =>
    behaviours.filter((one) => one.status === status).map(({ error }) => error?.code)
  expect(codesOf('failed')).toEqual(Array(3).fill('check-timeout'))
  expect(codesOf('given-up')).toEqual(Array(givenUp).fill('check-given-up'))
  expect([failed, held + failed + givenUp]).toEqual([3, behaviours.length])
})

test('a vote that blocks the event loop ends the check, which says during what', async () => {
  const { code, stderr } = await shootout(['check', broken('blocking-vote'), '--timeout', '2s'])
  expect(code).not.toBe(0)
  expect(stderr).toMatch(
    /the event loop has stood still for .* during "[\w ]+: [^"]+" \(check-loop-blocked\)/,
  )
})

test('what a storage leaves under way when it is closed does not keep the check from ending', async () => {
  const { code, stderr } = await shootout(['check', broken('left-open'), '--only', 'object ids'])
  expect(code).toBe(0)
  expect(stderr).toMatch(/the storage has left something under way \(.*Timeout.*\)/)
})

test('a time limit that is none is refused', async () => {
  for (const wrong of ['soon', '0s']) {
    const { code, stderr } = await shootout(['check', 'memory', '--timeout', wrong])
    expect([code, stderr]).toEqual([2, expect.stringContaining(wrong)])
  }
})
