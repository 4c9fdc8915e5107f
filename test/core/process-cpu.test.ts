import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { cpuTimeOfTrees } from '../../src/core/process-cpu.ts'

/** Computes, in a child of the child, until it has used half a second of processor time; then says so and waits. */
const busy = `
  const { spawn } = require('node:child_process')
  const loop = 'while (process.cpuUsage().user < 5e5); console.log("done"); setInterval(() => {}, 1e6)'
  const child = spawn(process.execPath, ['-e', loop], { stdio: ['ignore', 'inherit', 'inherit'] })
  process.on('SIGTERM', () => { child.kill(); process.exit() })`

test.runIf(process.platform === 'linux')('the work of a process below counts for the root', async () => {
  const root = spawn(process.execPath, ['-e', busy], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(root.stdout, 'data')
    const { user, system } = cpuTimeOfTrees([root.pid!])!
    expect(user + system).toBeGreaterThanOrEqual(4.8e8)
    // The same tree twice is counted twice: roots are taken as they are given.
    expect(cpuTimeOfTrees([root.pid!, root.pid!])!.user).toBeGreaterThanOrEqual(2 * user)
  } finally {
    root.kill()
  }
})

test('of a process that is not there, nothing is known', () => {
  const { pid } = spawnSync(process.execPath, ['-e', ''])
  expect(cpuTimeOfTrees([pid])).toBeUndefined()
})
