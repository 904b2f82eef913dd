import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Diary } from '../diary/diary.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { openSoundStore } from '../store/open-store.ts'
import type { Surveyed } from '../store/survey.ts'
import { HomeWatch, type HomeWatchDeps } from './home-watch.ts'
import { Scrubber, type ScrubberDeps } from './scrubber.ts'

interface Parts
  extends Omit<HomeWatchDeps, 'sync'>,
    Pick<ScrubberDeps, 'meta' | 'now'>,
    Pick<ScrubberDeps['scrub'], 'index'> {
  readonly sync: MeshSync
  readonly sound: Awaited<ReturnType<typeof openSoundStore>>
  readonly diary: Diary
  readonly keys: KeyStore
  readonly surveyed: Surveyed
  readonly mesh: () => Mesh
}

/** The watch over this home and its scrub, told of what opening it has shown. */
export async function openHealth(parts: Parts) {
  const { health, sound, diary, keys, documents, index, damage, surveyed, sync, mesh, meta, now, failed } = parts
  const watch = new HomeWatch(parts)
  await watch.opened(sound.health)
  await watch.openedDiary(diary.sound.health)
  for (const path of keys.damagedFiles) await health.event(`the key file ${path} was damaged, and is set aside`)
  const scrubber = await Scrubber.load({
    scrub: {
      main: sound,
      diary: diary.sound,
      documents,
      index,
      damage,
      surveyed,
      record: (hash) => mesh().records.get(hash)?.bytes,
      wantRecords: () => sync.wantRecords(),
      checkKeys: () => keys.lookAgain(),
    },
    meta,
    health,
    now,
    failed,
  })
  const close = async (): Promise<void> => {
    await scrubber.close()
    watch.close()
  }
  return { watch, scrubber, close }
}
