package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReadOnlyBroadcastState;
import org.apache.flink.api.common.typeinfo.Types;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Map.Entry;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** The rules that the broadcast state holds, so that one is found fast. Whoever changes a rule changes both by it. */
@Internal
public final class RuleBook {
    /** The time of all rules in processing time: whichever arrives last replaces the other, whatever clocks say. */
    static final long ALWAYS = Long.MIN_VALUE;

    private final Map<String, Timeline> rules = new HashMap<>();
    private final RuleIndex index = new RuleIndex();
    /** The rules that have an older version to drop, by the time from which they can. */
    private final Agenda trims = new Agenda();
    /** The rules of which nothing is left but that they were taken away. */
    private final Agenda removals = new Agenda();

    private RuleBook() {}

    public static MapStateDescriptor<String, RuleHistory> descriptor() {
        return new MapStateDescriptor<>("rules", Types.STRING, new RecordTypeInfo<>(RuleHistory.class));
    }

    static RuleBook read(ReadOnlyBroadcastState<String, RuleHistory> state) throws Exception {
        RuleBook book = new RuleBook();
        for (Entry<String, RuleHistory> rule : state.immutableEntries()) {
            Timeline timeline = Timeline.of(rule.getValue());
            book.rules.put(rule.getKey(), timeline);
            timeline.versions().forEach(version -> book.index.add(rule.getKey(), version, timeline));
            book.plan(rule.getKey(), timeline);
        }
        return book;
    }

    /**
     * Keeps a rule as the newest word of its name for its time.
     *
     * @param judged the watermark when the rule was judged, the same in all subtasks
     */
    void keep(RouteRule rule, long judged, BroadcastState<String, RuleHistory> state) throws Exception {
        Timeline timeline = rules.computeIfAbsent(rule.getName(), name -> Timeline.of(null));
        RuleVersion version = new RuleVersion(
                validFrom(rule, judged, timeline),
                rule.getKeyPattern(),
                rule.getPosition(),
                rule.getStack(),
                rule.getVariants());
        timeline.add(version).ifPresent(replaced -> index.remove(rule.getName(), replaced, timeline));
        index.add(rule.getName(), version, timeline);
        plan(rule.getName(), timeline);
        state.put(rule.getName(), timeline.history());
    }

    /**
     * The time of a rule. A removal that is old enough counts as forgotten in all subtasks, also in those that still have
     * it: the rule takes its place.
     */
    private static long validFrom(RouteRule rule, long judged, Timeline timeline) {
        long forgotten = judged < Long.MIN_VALUE + RouteState.REMOVAL_REMEMBERED.toMillis()
                ? Long.MIN_VALUE
                : judged - RouteState.REMOVAL_REMEMBERED.toMillis();
        return timeline.newest(forgotten)
                .filter(RuleBook::isRemoval)
                .map(removal -> Math.max(removal.getValidFrom(), rule.getValidFrom()))
                .orElse(rule.getValidFrom());
    }

    /** Keeps a rule whose name has one version only. */
    void replace(RouteRule rule, BroadcastState<String, RuleHistory> state) throws Exception {
        if (rule.getStack() == null && rule.getVariants() == null) {
            remove(rule.getName(), state);
        } else {
            keep(rule, ALWAYS, state);
        }
    }

    private void remove(String name, BroadcastState<String, RuleHistory> state) throws Exception {
        Timeline timeline = rules.remove(name);
        if (timeline != null) {
            timeline.versions().forEach(version -> index.remove(name, version, timeline));
            trims.remove(name);
            removals.remove(name);
        }
        state.remove(name);
    }

    /**
     * Drops what no record needs.
     *
     * @param released all records until this time are decided
     * @param judged no rule comes that was judged at an earlier watermark
     */
    void trim(long released, long judged, BroadcastState<String, RuleHistory> state) throws Exception {
        for (String name : trims.due(released)) {
            Timeline timeline = rules.get(name);
            timeline.trim(released).forEach(dropped -> index.remove(name, dropped, timeline));
            plan(name, timeline);
            state.put(name, timeline.history());
        }
        for (String name : removals.due(Math.min(released, judged))) {
            remove(name, state);
        }
    }

    private void plan(String name, Timeline timeline) {
        trims.set(name, timeline.nextTrim());
        removals.set(name, timeline.removal().map(RouteState::forgottenFrom));
    }

    /** What another subtask, which is not as far, may still need and this one does not have. */
    List<Entry<String, RuleHistory>> unsettled() {
        List<Entry<String, RuleHistory>> unsettled = new ArrayList<>();
        for (String name : trims.names()) {
            unsettled.add(Map.entry(name, rules.get(name).history()));
        }
        for (String name : removals.names()) {
            unsettled.add(Map.entry(name, rules.get(name).history()));
        }
        return unsettled;
    }

    /** Gives a request the stack of the rule that holds for its key at a time, if there is one. */
    void apply(RoutedRequest request, long time) {
        if (request.getKey().length() > KeyPattern.LONGEST_KEY) {
            RequestFunction.reject(
                    request,
                    new LlamafuException(
                            ErrorCode.INVALID_REQUEST,
                            "The key of the record has %d characters, but %d are the most where rules choose by patterns."
                                    .formatted(request.getKey().length(), KeyPattern.LONGEST_KEY)));
            return;
        }
        index.find(request.getKey(), time)
                .map(version -> Variants.choose(version.getStack(), version.getVariants(), request))
                .ifPresent(request::setStack);
    }

    static boolean isRemoval(RuleVersion version) {
        return version.getStack() == null && version.getVariants() == null;
    }

    /** Names by a time of each. */
    private static final class Agenda {
        private final Map<String, Long> times = new HashMap<>();
        private final NavigableMap<Long, Set<String>> names = new TreeMap<>();

        private void set(String name, Optional<Long> time) {
            remove(name);
            time.ifPresent(when -> {
                times.put(name, when);
                names.computeIfAbsent(when, added -> new HashSet<>()).add(name);
            });
        }

        private void remove(String name) {
            Long time = times.remove(name);
            if (time != null) {
                Set<String> ofTime = names.get(time);
                ofTime.remove(name);
                if (ofTime.isEmpty()) {
                    names.remove(time);
                }
            }
        }

        private List<String> due(long until) {
            List<String> due = new ArrayList<>();
            names.headMap(until, true).values().forEach(due::addAll);
            return due;
        }

        private Set<String> names() {
            return times.keySet();
        }
    }
}
