import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/** The judge of the mesh as it is, the same one until the mesh is another. */
export function judging(meshNow: () => Mesh): () => Judge {
  let last: { readonly mesh: Mesh; readonly judge: Judge } | undefined
  return () => {
    const mesh = meshNow()
    if (last?.mesh !== mesh) last = { mesh, judge: judgeWith(mesh) }
    return last.judge
  }
}
