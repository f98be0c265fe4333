package io.llamafu.examples.soak;

import io.llamafu.adapter.AdapterStack;

import javax.annotation.Nullable;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * The records to send with their times and expected outcomes, all determined by the record numbers. Each tenant has a
 * route that changes from time to time; a record's event time determines its route.
 */
final class Schedule {
    /** Stacks with known right answers, whichever weights {@link AdapterFolder#ROTATING} has. */
    static final List<String> STACKS = List.of(
            "",
            "medical",
            "legal",
            "finance",
            "formal",
            "medical+formal",
            "legal+formal",
            "finance+formal",
            "medical:0.5",
            "legal:0.5",
            "finance:0.5",
            "formal:0.5",
            "medical:0.0",
            "rotating",
            "rotating+formal",
            "rotating:0.5");

    private static final int TENANTS = 48;
    private static final int HOSTILE_OF = 10;
    private static final int OWN_STACK_OF = 4;
    private static final int MALFORMED_ROUTE_OF = 10;
    private static final long ROUTE_INTERVAL_MILLIS = 200;
    /** The lead of the first routes over the first record. */
    private static final long FIRST_ROUTES_MILLIS = 5_000;
    /** The most by which records arrive after their event times. */
    private static final long MOST_LATENESS_MILLIS =
            SoakJob.OUT_OF_ORDERNESS.minusMillis(100).toMillis();

    /**
     * A record of the schedule.
     *
     * @param healthy the record before it is made hostile
     * @param kind its hostile kind; null if it is healthy
     * @param stack the stack that must answer it if it is healthy
     * @param dueMillis when to send it, since the epoch
     */
    record Planned(SoakRecord healthy, @Nullable HostileKind kind, int variant, AdapterStack stack, long dueMillis) {
        byte[] kafkaValue() {
            return kind == null ? healthy.toJson() : kind.kafkaValue(kind.spoil(healthy, variant), variant);
        }

        int partition() {
            return Schedule.partition(healthy.number());
        }
    }

    /** A route change with the time to send it; a malformed one must be rejected. */
    record PlannedRoute(RouteChange change, boolean malformed, long dueMillis) {}

    private final List<String> texts;
    private final List<HostileKind> kinds;
    private final double recordsPerSecond;
    private final long records;
    private final long startMillis;
    private final List<PlannedRoute> routes = new ArrayList<>();
    private final Map<String, NavigableMap<Long, String>> stacksByKey = new HashMap<>();

    /**
     * @param kinds of hostile records, which take turns; none if empty
     * @param malformedRoutes whether some route changes are malformed
     * @param startMillis when the first record is due, since the epoch
     */
    Schedule(
            List<String> texts,
            List<HostileKind> kinds,
            boolean malformedRoutes,
            double recordsPerSecond,
            Duration duration,
            long startMillis) {
        this.texts = List.copyOf(texts);
        this.kinds = List.copyOf(kinds);
        this.recordsPerSecond = recordsPerSecond;
        this.records = (long) (recordsPerSecond * duration.toMillis() / 1_000);
        this.startMillis = startMillis;
        planRoutes(malformedRoutes, duration);
    }

    private void planRoutes(boolean malformedRoutes, Duration duration) {
        for (int tenant = 0; tenant < TENANTS; tenant++) {
            long time = startMillis - FIRST_ROUTES_MILLIS + tenant;
            plan(new RouteChange(key(tenant), STACKS.get(tenant % STACKS.size()), time), time);
        }
        SplittableRandom random = new SplittableRandom(TENANTS);
        for (long change = 1; change * ROUTE_INTERVAL_MILLIS <= duration.toMillis(); change++) {
            long time = startMillis + change * ROUTE_INTERVAL_MILLIS;
            RouteChange sound =
                    new RouteChange(key(random.nextInt(TENANTS)), STACKS.get(random.nextInt(STACKS.size())), time);
            if (malformedRoutes && change % MALFORMED_ROUTE_OF == 0) {
                routes.add(new PlannedRoute(malformed(sound, change / MALFORMED_ROUTE_OF), true, time));
            } else {
                plan(sound, time);
            }
        }
    }

    private void plan(RouteChange change, long dueMillis) {
        routes.add(new PlannedRoute(change, false, dueMillis));
        stacksByKey.computeIfAbsent(change.key(), unused -> new TreeMap<>()).put(change.eventTime(), change.stack());
    }

    private static RouteChange malformed(RouteChange sound, long variant) {
        List<String> stacks = HostileTexts.MALFORMED_STACKS;
        return switch ((int) (variant % 3)) {
            case 0 -> new RouteChange(null, sound.stack(), sound.eventTime());
            case 1 -> new RouteChange("\uD83D" + sound.key(), sound.stack(), sound.eventTime());
            default -> new RouteChange(sound.key(), stacks.get((int) (variant / 3 % stacks.size())), sound.eventTime());
        };
    }

    private static String key(int tenant) {
        return "tenant-" + tenant;
    }

    long records() {
        return records;
    }

    List<PlannedRoute> routes() {
        return routes;
    }

    Planned record(long number) {
        SplittableRandom random = new SplittableRandom(number);
        long due = startMillis + (long) (number * 1_000 / recordsPerSecond);
        long eventTime = due - random.nextLong(MOST_LATENESS_MILLIS);
        String key = key(random.nextInt(TENANTS));
        String text = texts.get(random.nextInt(texts.size()));
        String own = random.nextInt(OWN_STACK_OF) == 0 ? STACKS.get(random.nextInt(STACKS.size())) : null;
        String stack =
                own != null ? own : stacksByKey.get(key).floorEntry(eventTime).getValue();
        SoakRecord healthy = SoakRecord.of(number, key, text, own, eventTime);
        if (kinds.isEmpty() || number % HOSTILE_OF != HOSTILE_OF - 1) {
            return new Planned(healthy, null, 0, AdapterStack.parse(stack), due);
        }
        long hostile = number / HOSTILE_OF;
        return new Planned(
                healthy,
                kinds.get((int) (hostile % kinds.size())),
                (int) (hostile / kinds.size()),
                AdapterStack.parse(stack),
                due);
    }

    /** Every partition gets every kind of record. */
    private static int partition(long number) {
        return (int) ((number + number / HOSTILE_OF) % SoakTopics.INPUTS.get(SoakTopics.RECORDS));
    }

    /** The number of records by partition: the end offsets of the topic. */
    Map<Integer, Long> recordsEnd() {
        Map<Integer, Long> ends = new HashMap<>();
        IntStream.range(0, SoakTopics.INPUTS.get(SoakTopics.RECORDS)).forEach(partition -> ends.put(partition, 0L));
        for (long number = 0; number < records; number++) {
            ends.merge(partition(number), 1L, Long::sum);
        }
        return ends;
    }
}
