package io.llamafu.examples.soak;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.examples.soak.Schedule.Planned;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/** Compares outcomes with the schedule. */
final class Ledger {
    /** How long after its replacement was published a version may still answer newly sent records. */
    private static final long STALE_MILLIS = 30_000;

    private static final String ANSWER = "ANSWER";

    private final Schedule schedule;
    private final GoldenAnswers golden;
    private final AdapterFolder adapters;
    private final Findings findings;
    private final BitSet seen = new BitSet();
    private final Set<Long> malformedChanges = new HashSet<>();
    private final Set<Long> rejectedChanges = new HashSet<>();
    private final SortedMap<String, SortedMap<String, Long>> hostile = new TreeMap<>();
    private long answers;
    private long deadLetters;
    private long exact;

    Ledger(Schedule schedule, GoldenAnswers golden, AdapterFolder adapters, Findings findings) {
        this.schedule = schedule;
        this.golden = golden;
        this.adapters = adapters;
        this.findings = findings;
        schedule.routes().stream()
                .filter(Schedule.PlannedRoute::malformed)
                .forEach(route -> malformedChanges.add(route.change().eventTime()));
    }

    void answer(Outcome outcome) {
        answers++;
        check(outcome);
    }

    void deadLetter(Outcome outcome) {
        deadLetters++;
        check(outcome);
    }

    private void check(Outcome outcome) {
        long number = outcome.number();
        if (number < 0 || number >= schedule.records()) {
            findings.broken(Promise.ONE_OUTCOME, "No record has this number: " + outcome);
            return;
        }
        if (seen.get((int) number)) {
            findings.broken(Promise.ONE_OUTCOME, "A second outcome of a record: " + outcome);
            return;
        }
        seen.set((int) number);
        Planned planned = schedule.record(number);
        if (planned.kind() == null) {
            checkHealthy(planned, outcome, planned.healthy().id());
        } else {
            checkHostile(planned.kind(), planned, outcome);
        }
    }

    private void checkHealthy(Planned planned, Outcome outcome, @Nullable String id) {
        String wrong = whatIsWrong(planned, outcome, id);
        if (wrong == null) {
            exact++;
        } else {
            findings.broken(
                    Promise.EXACT_ANSWERS,
                    "%s. Sent: %s, stack '%s'. Got: %s".formatted(wrong, planned.healthy(), planned.stack(), outcome));
        }
    }

    /** Null if the outcome is right. */
    @Nullable
    private String whatIsWrong(Planned planned, Outcome outcome, @Nullable String id) {
        if (outcome.isError()) {
            return "A healthy record has an error";
        }
        if (!Objects.equals(outcome.id(), id)) {
            return "The id has changed";
        }
        if (!used(outcome).equals(withScales(planned.stack()))) {
            return "Other adapters or scales have answered";
        }
        List<AdapterStack.Entry> contents = new ArrayList<>();
        for (Outcome.Adapter adapter : outcome.adapters()) {
            AdapterFolder.Version version = adapters.version(adapter.name(), adapter.digest());
            if (version == null) {
                return "Adapter '%s' was never published with this digest".formatted(adapter.name());
            }
            if (version.supersededMillis() < planned.dueMillis() - STALE_MILLIS) {
                findings.broken(
                        Promise.CURRENT_ADAPTERS,
                        "Adapter '%s' was published again %d ms before the record was sent: %s"
                                .formatted(adapter.name(), planned.dueMillis() - version.supersededMillis(), outcome));
            }
            contents.add(new AdapterStack.Entry(version.content(), adapter.scale()));
        }
        String right = golden.answer(planned.healthy().text(), new AdapterStack(contents));
        return right.equals(outcome.answer()) ? null : "The right answer is '%s'".formatted(right);
    }

    private static List<AdapterStack.Entry> used(Outcome outcome) {
        return outcome.adapters().stream()
                .map(adapter -> new AdapterStack.Entry(adapter.name(), adapter.scale()))
                .toList();
    }

    /** The adapters of the soak test have no cards, so their default scale is 1. */
    private static List<AdapterStack.Entry> withScales(AdapterStack stack) {
        return stack.entries().stream()
                .map(entry -> new AdapterStack.Entry(entry.name(), entry.scale().orElse(1f)))
                .toList();
    }

    private void checkHostile(HostileKind kind, Planned planned, Outcome outcome) {
        String result = outcome.isError() ? String.valueOf(outcome.errorCode()) : ANSWER;
        hostile.computeIfAbsent(kind.name(), unused -> new TreeMap<>()).merge(result, 1L, Long::sum);
        if (kind == HostileKind.NO_ID) {
            checkHealthy(planned, outcome, null);
            return;
        }
        boolean allowed = outcome.isError()
                ? kind.codes().stream().anyMatch(code -> code.name().equals(outcome.errorCode()))
                : kind.mayBeAnswered();
        if (!allowed) {
            findings.broken(
                    Promise.CODED_ERRORS,
                    "A record of the kind %s, variant %d, gave: %s".formatted(kind, planned.variant(), outcome));
        }
        if (kind == HostileKind.NO_TIMESTAMP && outcome.eventTime() != null) {
            findings.broken(Promise.CODED_ERRORS, "A record without a timestamp has one now: " + outcome);
        }
    }

    void rejected(RejectedChange change) {
        if (!malformedChanges.contains(change.eventTime())) {
            findings.broken(Promise.ROUTE_CHANGES, "A sound change was rejected: " + change);
        } else if (!rejectedChanges.add(change.eventTime())) {
            findings.broken(Promise.ROUTE_CHANGES, "A change was rejected twice: " + change);
        }
    }

    /** Whether every record has an outcome. */
    boolean isComplete() {
        return seen.cardinality() == schedule.records() && rejectedChanges.size() == malformedChanges.size();
    }

    /** Reports records without an outcome as lost. */
    void close() {
        for (long number = 0; number < schedule.records(); number++) {
            if (!seen.get((int) number)) {
                Planned planned = schedule.record(number);
                findings.broken(
                        Promise.ONE_OUTCOME,
                        "No outcome of a record %s: %s"
                                .formatted(
                                        planned.kind() == null
                                                ? "that is healthy"
                                                : "of the kind %s, variant %d"
                                                        .formatted(planned.kind(), planned.variant()),
                                        planned.healthy()));
            }
        }
        schedule.routes().stream()
                .filter(Schedule.PlannedRoute::malformed)
                .filter(route -> !rejectedChanges.contains(route.change().eventTime()))
                .forEach(route -> findings.broken(
                        Promise.ROUTE_CHANGES, "A malformed change was not rejected: " + route.change()));
    }

    long outcomes() {
        return answers + deadLetters;
    }

    long answers() {
        return answers;
    }

    long deadLetters() {
        return deadLetters;
    }

    /** Healthy records with an exact answer. */
    long exact() {
        return exact;
    }

    long rejectedChanges() {
        return rejectedChanges.size();
    }

    /** Outcomes of hostile records, by kind and by error code or {@code ANSWER}. */
    Map<String, SortedMap<String, Long>> hostile() {
        return hostile;
    }
}
