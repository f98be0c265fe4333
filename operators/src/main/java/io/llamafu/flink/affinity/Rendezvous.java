package io.llamafu.flink.affinity;

import java.util.Arrays;

/**
 * Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998): each name has
 * an order of preference over the subtasks, the same for every sender. When a subtask is added, a name keeps its first
 * choice unless the new subtask takes its place.
 */
final class Rendezvous {
    /** Masks the number of a subtask; Flink's greatest parallelism fits. */
    private static final long SUBTASK_BITS = Short.MAX_VALUE;

    /** Groups of this many consecutive subtasks are neighbors. */
    private static final int NEIGHBOURS = 4;

    private Rendezvous() {}

    /**
     * All subtasks, the most preferred first, each followed by its neighbors, which probably share its TaskManager and
     * so its adapters.
     */
    static int[] order(String name, int subtasks) {
        int[] order = new int[subtasks];
        boolean[] hasPlace = new boolean[subtasks];
        int places = 0;
        for (int preferred : byScore(name, subtasks)) {
            int first = preferred - preferred % NEIGHBOURS;
            for (int offset = 0; offset < NEIGHBOURS && !hasPlace[preferred]; offset++) {
                int subtask = first + (preferred + offset) % NEIGHBOURS;
                if (subtask < subtasks) {
                    order[places++] = subtask;
                }
            }
            Arrays.fill(hasPlace, first, Math.min(first + NEIGHBOURS, subtasks), true);
        }
        return order;
    }

    private static int[] byScore(String name, int subtasks) {
        long[] scores = new long[subtasks];
        for (int subtask = 0; subtask < subtasks; subtask++) {
            scores[subtask] = (score(name, subtask) & ~SUBTASK_BITS) | subtask;
        }
        Arrays.sort(scores);
        int[] order = new int[subtasks];
        for (int rank = 0; rank < subtasks; rank++) {
            order[rank] = (int) (scores[subtasks - 1 - rank] & SUBTASK_BITS);
        }
        return order;
    }

    /** The finalizer of SplittableRandom (variant 13 of Stafford's "Better bit mixing", 2011). */
    private static long score(String name, int subtask) {
        long bits = ((long) name.hashCode() << Integer.SIZE) | subtask;
        bits = (bits ^ (bits >>> 30)) * 0xbf58476d1ce4e5b9L;
        bits = (bits ^ (bits >>> 27)) * 0x94d049bb133111ebL;
        return bits ^ (bits >>> 31);
    }
}
