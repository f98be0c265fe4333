package io.llamafu.flink.affinity;

import java.util.HashMap;
import java.util.Map;

/**
 * Chooses the subtask of each record that one sender sends. It counts only what it has sent itself; if every sender
 * balances its own share, the total is balanced too.
 *
 * <p>A name goes to the first subtask of its {@link Rendezvous} order. The larger a name's share of the records, the
 * more of its first choices are used, each time the one with the least load. A subtask above its bound is skipped for
 * the next choice.
 *
 * <p>The same records in the same order give the same choices. Used by one thread.
 */
final class StackAffinity {
    /** The name of records that every subtask can answer equally well. */
    static final String ANYWHERE = "";

    /** The window of each subtask: this many records, and up to as many again until the counts are halved. */
    private static final int WINDOW_PER_SUBTASK = 64;

    /** The least mean load in comparisons, because the first few records say little. */
    private static final int RECORDS_THAT_SAY_LITTLE = 16;

    /** The choices of a name with the mean load of a subtask, so that each part is small compared with the bound. */
    private static final int CHOICES_PER_MEAN_LOAD = 4;

    private final double loadBound;
    private final int window;
    private final double[] loads;
    private final Map<String, Double> records = new HashMap<>();
    private double sent;

    /** @param loadBound the most records of a subtask, relative to the mean; above 1 */
    StackAffinity(int subtasks, double loadBound) {
        this.loadBound = loadBound;
        this.window = WINDOW_PER_SUBTASK * subtasks;
        this.loads = new double[subtasks];
    }

    /** The subtask for the next record of a name; the record is counted as sent. */
    int choose(String name) {
        double ofName = records.merge(name, 1.0, Double::sum);
        double meanLoad = Math.max(sent / loads.length, RECORDS_THAT_SAY_LITTLE);
        int choices = name.equals(ANYWHERE) ? loads.length : choices(ofName / meanLoad);
        int subtask = choose(Rendezvous.order(name, loads.length), choices, loadBound * meanLoad);
        loads[subtask]++;
        sent++;
        if (sent >= 2 * window) {
            halve();
        }
        return subtask;
    }

    private int choices(double load) {
        return (int) Math.min(Math.ceil(load * CHOICES_PER_MEAN_LOAD), loads.length);
    }

    private int choose(int[] order, int choices, double mostLoad) {
        int chosen = order[0];
        for (int rank = 1; rank < choices; rank++) {
            if (loads[order[rank]] < loads[chosen]) {
                chosen = order[rank];
            }
        }
        for (int rank = choices; rank < order.length && loads[chosen] >= mostLoad; rank++) {
            chosen = order[rank];
        }
        return chosen;
    }

    /** Reduces the weight of old records, and drops names without new ones. */
    private void halve() {
        sent /= 2;
        for (int subtask = 0; subtask < loads.length; subtask++) {
            loads[subtask] /= 2;
        }
        records.replaceAll((name, count) -> count / 2);
        records.values().removeIf(count -> count < 1);
    }
}
