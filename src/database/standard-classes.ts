/**
 * The classes known to everybody in this isolate. A scenario or an application adds its own with `registerClass`, at
 * the top of its module, so that they are known before anything is read or merged.
 */

import { BTree } from './b-tree.ts'
import { BTreeBucket } from './b-tree-bucket.ts'
import { BTreeNode } from './b-tree-node.ts'
import { ClassRegistry } from './class-registry.ts'
import type { PersistentClass } from './persistent.ts'
import { PersistentBlob } from './persistent-blob.ts'
import { PersistentCounter } from './persistent-counter.ts'
import { PersistentMap } from './persistent-map.ts'
import { PersistentSet } from './persistent-set.ts'

/** What every database knows that is given no registry of its own. */
export const standardClasses = new ClassRegistry([
  PersistentMap,
  PersistentSet,
  PersistentCounter,
  PersistentBlob,
  BTree,
  BTreeNode,
  BTreeBucket,
])

/** @throws UsageError `class-name` */
export function registerClass(...classes: readonly PersistentClass[]): void {
  standardClasses.register(...classes)
}
