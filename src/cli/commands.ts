/** All commands, in the order in which help lists them. */

import type { Command } from 'commander'
import { registerBisect } from './bisect/command.ts'
import { registerCache } from './cache.ts'
import { registerCheck } from './check-command.ts'
import { registerCompare } from './compare.ts'
import { registerCompletion } from './completion/command.ts'
import { registerCopy } from './copy.ts'
import { registerDoctor } from './doctor/command.ts'
import { registerFile } from './file-command.ts'
import { registerGate } from './gate.ts'
import { registerList } from './list.ts'
import { registerPlan } from './plan.ts'
import { registerReport } from './report.ts'
import { registerRun } from './run.ts'
import { registerSelftest } from './selftest.ts'
import { registerServe } from './serve.ts'
import { registerStatus } from './status.ts'

export const commands: readonly ((program: Command) => void)[] = [
  registerRun,
  registerReport,
  registerCompare,
  registerGate,
  registerBisect,
  registerPlan,
  registerSelftest,
  registerCheck,
  registerList,
  registerDoctor,
  registerServe,
  registerStatus,
  registerFile,
  registerCopy,
  registerCache,
  registerCompletion,
]
