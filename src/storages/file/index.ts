/**
 * `file`: objects in an append-only log, with checksums, group commit and recovery. One process at a time; all of its
 * threads at once.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../../core/errors.ts'
import { realFileSystem } from '../../core/file-system.ts'
import { option } from '../../core/options.ts'
import { defineStorage } from '../storage.ts'
import { assertFolder } from './folder.ts'
import { shareLog } from './share.ts'
import type { SharedLog } from './shared-state.ts'
import { FileStorage } from './storage.ts'

const options = {
  path: option.path({ default: '', summary: 'the log to open; created when missing' }),
  folder: option.path({
    default: '',
    summary: 'where a run makes its stores (default: the temporary folder)',
  }),
  durability: option.choice({
    default: 'full',
    choices: ['full', 'os', 'none'],
    summary: 'full: flushed to disk; os: handed to the system; none: the same, and never flushed',
  }),
  claimWait: option.duration({
    default: 30e9,
    summary: 'how long a vote waits for another transaction that voted for the same objects',
  }),
  indexBytes: option.bytes({
    default: 256 * 1024 ** 2,
    summary: 'address space for the index, 18 bytes per object; memory is used only as objects come',
  }),
  checkpointBytes: option.bytes({
    default: 128 * 1024 ** 2,
    summary: 'how much the log grows between checkpoints: what opening after a crash has to read',
  }),
}

const tiers = { full: 'full', os: 'os', none: 'memory' } as const

export default defineStorage<typeof options, SharedLog>({
  name: 'file',
  summary: 'append-only log with checksums, group commit and recovery; threads of one process',
  options,

  capabilities: ({ durability }) => ({
    reach: 'process',
    durability: tiers[durability],
    persistent: true,
    blocking: true,
    history: true,
    conflictResolution: true,
    deletion: true,
    undo: true,
    iteration: true,
    pack: true,
    prefetch: false,
    blobs: true,
  }),

  async provision(given, context) {
    if (given.path !== '') {
      throw new UsageError(
        'path-in-run',
        `file: a run makes stores of its own and would not touch ${given.path}; leave path out, or say with folder where to make them`,
      )
    }
    if (given.folder !== '') assertFolder(given.folder)
    const base = given.folder === '' ? context.folder : await mkdtemp(join(given.folder, 'shootout_'))
    return {
      available: true,
      facts: { folder: base },
      async newStore(name) {
        const folder = await mkdtemp(join(base, `${name}_`))
        return {
          options: { ...given, path: join(folder, 'data.log') },
          dispose: () => rm(folder, { recursive: true, force: true }),
        }
      },
      // The folder of the context belongs to the caller.
      dispose: () => (given.folder === '' ? undefined : rm(base, { recursive: true, force: true })),
    }
  },

  share: (given, context) => shareLog(realFileSystem, given, context),

  open(given, context, shared) {
    if (shared === undefined) throw new TypeError('file: open needs what share returned')
    return new FileStorage(shared, realFileSystem, context, {
      durability: given.durability,
      claimWaitMs: given.claimWait / 1e6,
      checkpointBytes: given.checkpointBytes,
    })
  },
})
