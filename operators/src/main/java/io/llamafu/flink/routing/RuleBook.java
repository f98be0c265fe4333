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

/** An index over the rules in the broadcast state. All changes go through this class, which keeps both in step. */
@Internal
public final class RuleBook {
    /**
     * The time of all rules in processing time: the one that arrives last replaces the other, whatever their
     * timestamps.
     */
    static final long ALWAYS = Long.MIN_VALUE;

    private final Map<String, Timeline> rules = new HashMap<>();
    private final RuleIndex index = new RuleIndex();
    /** The rules with an old version to drop, by the time from which they can drop it. */
    private final Agenda trims = new Agenda();
    /** The rules whose only version is a removal. */
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
     * Adds a rule as the newest version of its name for its time.
     *
     * @param judged the watermark at which the rule was checked, the same in all subtasks
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
     * The time of a rule. A removal that is old enough counts as dropped in all subtasks, including those that still
     * hold it, and the rule takes its place.
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

    /** Replaces the only version of a rule. */
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
     * Drops versions that no record needs.
     *
     * @param released all records up to this time are decided
     * @param judged no rule will arrive that was checked at an earlier watermark
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

    /** Versions that a subtask that has progressed less may still need. */
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

    /** Gives a request the stack of the rule that applies to its key at a time, if any. */
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

    /** Names by their times. */
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
