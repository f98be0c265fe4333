package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.AdapterTraffic.Arrival;
import io.llamafu.flink.affinity.AffinityPartitioner;
import io.llamafu.flink.routing.RequestOnly;
import io.llamafu.flink.routing.RoutedRequest;
import org.apache.flink.runtime.plugable.SerializationDelegate;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;

import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.LongSummaryStatistics;
import java.util.Map;
import java.util.function.ToIntFunction;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * TaskManagers that keep the most recently used adapters. Records come from router subtasks, one per completion
 * subtask, to which Flink's own hash of the tenant assigns them. No model runs: a record is only counted.
 *
 * @param slots subtasks of a TaskManager; they are consecutive and share its memory
 * @param residentAdapters the most adapters in the memory of a TaskManager
 * @param loadBound of the affinity
 */
record AffinitySimulation(
        int adapters,
        int tenants,
        double exponent,
        int taskManagers,
        int slots,
        int residentAdapters,
        double loadBound,
        int warmUpRecords,
        int records) {
    /** The number of records over which loads are compared. */
    static final int WINDOW = 50_000;

    private static final String ADAPTER = "adapter-";

    /** How records are distributed to completion subtasks. */
    enum Dealing {
        AFFINITY("affinity"),
        TENANT("keyBy(tenant)"),
        REBALANCE("rebalance()"),
        STACK("keyBy(stack)");

        private final String title;

        Dealing(String title) {
            this.title = title;
        }

        String title() {
            return title;
        }
    }

    private static final class TaskManager {
        private final Map<Integer, Boolean> resident;
        private final BitSet asked = new BitSet();
        private long records;
        private long recordsOfWindow;
        private long hits;

        TaskManager(int residentAdapters) {
            resident = new LinkedHashMap<>(residentAdapters, 0.75f, true) {
                private static final long serialVersionUID = 1L;

                @Override
                protected boolean removeEldestEntry(Map.Entry<Integer, Boolean> leastRecentlyUsed) {
                    return size() > residentAdapters;
                }
            };
        }

        void answer(int adapter) {
            asked.set(adapter);
            records++;
            recordsOfWindow++;
            if (resident.put(adapter, true) != null) {
                hits++;
            }
        }

        void forgetCounts() {
            asked.clear();
            records = 0;
            recordsOfWindow = 0;
            hits = 0;
        }
    }

    private int subtasks() {
        return taskManagers * slots;
    }

    AffinityResult run(Dealing dealing) {
        AdapterTraffic traffic = new AdapterTraffic(adapters, tenants, exponent);
        ToIntFunction<Arrival> dealer = dealer(dealing);
        TaskManager[] fleet = Stream.generate(() -> new TaskManager(residentAdapters))
                .limit(taskManagers)
                .toArray(TaskManager[]::new);
        double worstWindow = answer(traffic, warmUpRecords, dealer, fleet);
        long warmUpHits = hits(fleet);
        for (TaskManager taskManager : fleet) {
            taskManager.forgetCounts();
        }
        worstWindow = Math.max(worstWindow, answer(traffic, records, dealer, fleet));
        return new AffinityResult(
                dealing.title(),
                (double) hits(fleet) / records,
                (double) (warmUpHits + hits(fleet)) / (warmUpRecords + records),
                maxOverMean(fleet, taskManager -> taskManager.records),
                worstWindow,
                Arrays.stream(fleet)
                        .mapToInt(taskManager -> taskManager.asked.cardinality())
                        .average()
                        .orElseThrow());
    }

    /** The greatest load of a window, relative to the mean. */
    private double answer(AdapterTraffic traffic, int count, ToIntFunction<Arrival> dealer, TaskManager[] fleet) {
        double worstWindow = 0;
        for (int record = 1; record <= count; record++) {
            Arrival arrival = traffic.next();
            fleet[dealer.applyAsInt(arrival) / slots].answer(arrival.adapter());
            if (record % WINDOW == 0) {
                worstWindow = Math.max(worstWindow, maxOverMean(fleet, taskManager -> taskManager.recordsOfWindow));
                for (TaskManager taskManager : fleet) {
                    taskManager.recordsOfWindow = 0;
                }
            }
        }
        return worstWindow;
    }

    /** The completion subtask of a record. */
    private ToIntFunction<Arrival> dealer(Dealing dealing) {
        int[] routers = subtasksOfKeys("tenant-", tenants);
        return switch (dealing) {
            case AFFINITY -> affinity(routers);
            // Without a partitioner, the subtask that routes a record answers it.
            case TENANT -> arrival -> routers[arrival.tenant()];
            case REBALANCE -> {
                int[] next = IntStream.range(0, subtasks()).toArray();
                yield arrival -> next[routers[arrival.tenant()]]++ % subtasks();
            }
            case STACK -> {
                int[] subtasks = subtasksOfKeys(ADAPTER, adapters);
                yield arrival -> subtasks[arrival.adapter()];
            }
        };
    }

    private ToIntFunction<Arrival> affinity(int[] routers) {
        List<AffinityPartitioner<RoutedRequest>> partitioners = Stream.generate(
                        () -> new AffinityPartitioner<>(loadBound, new RequestOnly<>()))
                .limit(subtasks())
                .toList();
        partitioners.forEach(partitioner -> partitioner.setup(subtasks()));
        RoutedRequest request = RoutedRequest.newBuilder().build();
        SerializationDelegate<StreamRecord<RoutedRequest>> sent = new SerializationDelegate<>(null);
        sent.setInstance(new StreamRecord<>(request));
        return arrival -> {
            request.setStack(ADAPTER + arrival.adapter());
            return partitioners.get(routers[arrival.tenant()]).selectChannel(sent);
        };
    }

    /** As Flink's keyBy assigns them, with its default number of key groups. */
    private int[] subtasksOfKeys(String prefix, int count) {
        int maxParallelism = KeyGroupRangeAssignment.computeDefaultMaxParallelism(subtasks());
        return IntStream.range(0, count)
                .map(index ->
                        KeyGroupRangeAssignment.assignKeyToParallelOperator(prefix + index, maxParallelism, subtasks()))
                .toArray();
    }

    private static long hits(TaskManager[] fleet) {
        return Arrays.stream(fleet).mapToLong(taskManager -> taskManager.hits).sum();
    }

    private static double maxOverMean(TaskManager[] fleet, ToLongFunction<TaskManager> load) {
        LongSummaryStatistics loads = Arrays.stream(fleet).mapToLong(load).summaryStatistics();
        return loads.getMax() / loads.getAverage();
    }
}
