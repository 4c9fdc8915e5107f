/** The shell that stands between us and a server of our own. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ServerRecipe, startPrivateServer } from '../../../src/storages/sql/private-server.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootout-server-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** A server that is a line of shell. */
function recipe(script: string): ServerRecipe {
  return {
    title: 'Toy',
    users: ['nobody'],
    signal: 'TERM',
    prepare: async () => ['/bin/sh', '-c', script],
    urlOf: (place) => place,
  }
}

const wanted = () => ({ folder, durability: 'os', log: () => {} }) as const

test('a server that ends at once is reported with what it said, before anybody has waited for its answer', async () => {
  const starting = startPrivateServer(recipe('echo the disk is on fire >&2; exit 3'), {
    ...wanted(),
    probe: () => Promise.reject(new Error('nobody answers')),
  })
  await expect(starting).rejects.toMatchObject({
    code: 'server-failed',
    message: expect.stringContaining('it ended at once: the disk is on fire'),
  })
  expect(readdirSync(folder)).toEqual([])
})

test('a server is told to end, and its folder goes when it has', async () => {
  const server = await startPrivateServer(
    recipe('trap "touch ended; exit" TERM; touch started; while :; do sleep 0.01; done'),
    {
      ...wanted(),
      async probe(place) {
        if (!existsSync(join(place, 'started'))) throw new Error('not yet')
      },
    },
  )
  await server.stop()
  expect(existsSync(server.url)).toBe(false)
})
