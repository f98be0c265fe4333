package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReadOnlyBroadcastState;
import org.apache.flink.api.common.typeinfo.Types;

import java.util.Map;
import java.util.Map.Entry;
import java.util.Optional;
import java.util.TreeMap;

/** The rules that the broadcast state holds, read once for many records. */
@Internal
public final class RuleBook {
    /** The time of all rules in processing time: whichever arrives last replaces the other, whatever clocks say. */
    static final long ALWAYS = Long.MIN_VALUE;

    private final Map<String, Timeline<RuleVersion>> rules = new TreeMap<>();

    private RuleBook() {}

    public static MapStateDescriptor<String, RuleHistory> descriptor() {
        return new MapStateDescriptor<>("rules", Types.STRING, new RecordTypeInfo<>(RuleHistory.class));
    }

    static RuleBook read(ReadOnlyBroadcastState<String, RuleHistory> state) throws Exception {
        RuleBook book = new RuleBook();
        for (Entry<String, RuleHistory> rule : state.immutableEntries()) {
            book.rules.put(rule.getKey(), Timeline.of(rule.getValue()));
        }
        return book;
    }

    /**
     * Keeps a rule as the newest word of its name for its time.
     *
     * @param watermark only late records have this time or an earlier one
     */
    static void keep(RouteRule rule, long watermark, BroadcastState<String, RuleHistory> state) throws Exception {
        Timeline<RuleVersion> timeline = Timeline.of(state.get(rule.getName()));
        timeline.add(new RuleVersion(
                rule.getValidFrom(), rule.getKeyPattern(), rule.getPosition(), rule.getStack(), rule.getVariants()));
        timeline.trim(watermark);
        state.put(rule.getName(), new RuleHistory(timeline.versions(), timeline.trimmed()));
    }

    /** Keeps a rule whose name has one version only. */
    static void replace(RouteRule rule, BroadcastState<String, RuleHistory> state) throws Exception {
        if (rule.getStack() == null && rule.getVariants() == null) {
            state.remove(rule.getName());
        } else {
            keep(rule, Long.MIN_VALUE, state);
        }
    }

    /** Gives a request the stack of the rule that holds for its key at a time, if there is one. */
    void apply(RoutedRequest request, long time) {
        Optional<RuleVersion> holds = Optional.empty();
        for (Timeline<RuleVersion> rule : rules.values()) {
            Optional<RuleVersion> version = rule.at(time).filter(candidate -> matches(candidate, request.getKey()));
            if (version.isPresent() && (holds.isEmpty() || isBefore(version.get(), holds.get()))) {
                holds = version;
            }
        }
        holds.map(version -> Variants.choose(version.getStack(), version.getVariants(), request))
                .ifPresent(request::setStack);
    }

    private static boolean matches(RuleVersion rule, String key) {
        boolean isRemoval = rule.getStack() == null && rule.getVariants() == null;
        return !isRemoval && (rule.getKeyPattern() == null || KeyPattern.matches(rule.getKeyPattern(), key));
    }

    /** Rules for some keys come before the default route, then the lowest position; equals stay in the order of names. */
    private static boolean isBefore(RuleVersion rule, RuleVersion other) {
        boolean isDefault = rule.getKeyPattern() == null;
        boolean otherIsDefault = other.getKeyPattern() == null;
        return isDefault == otherIsDefault ? rule.getPosition() < other.getPosition() : otherIsDefault;
    }
}
