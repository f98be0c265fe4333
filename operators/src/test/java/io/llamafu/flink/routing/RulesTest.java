package io.llamafu.flink.routing;

import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithKeyedOperator;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithNonKeyedOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.AbstractBroadcastStreamOperatorTestHarness;
import org.apache.flink.streaming.util.BroadcastOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedBroadcastOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class RulesTest {

    @Test
    void firstRuleThatMatchesHolds() throws Exception {
        try (Rules rules = Rules.processingTime(null)) {
            rules.add(rule("last", "*-gold", 9, "legal"));
            rules.add(rule("default", null, 0, "formal"));
            rules.add(rule("first", "eu-*", 1, "medical"));
            rules.add(rule("b-equal", "us-*", 2, "wrong"));
            rules.add(rule("a-equal", "us-*", 2, "finance"));
            rules.record("eu-1-gold", "1", 0);
            rules.record("asia-gold", "2", 0);
            rules.record("us-1", "3", 0);
            rules.record("elsewhere", "4", 0);

            assertThat(rules.routed()).containsExactly("1=medical", "2=legal", "3=finance", "4=formal");
        }
    }

    @Test
    void ruleIsReplacedAndTakenAwayByItsName() throws Exception {
        try (Rules rules = Rules.processingTime(null)) {
            rules.record("a", "1", 0);
            rules.add(rule("r", "*", 0, "medical"));
            rules.record("a", "2", 0);
            rules.add(rule("r", "a", 0, ""));
            rules.record("a", "3", 0);
            rules.record("b", "4", 0);
            rules.add(rule("r", "a", 0, null));
            rules.record("a", "5", 0);

            assertThat(rules.routed()).containsExactly("1=default", "2=medical", "3=", "4=default", "5=default");
        }
    }

    @Test
    void variantsOfARuleShareTheRecords() throws Exception {
        try (Rules rules = Rules.processingTime(null)) {
            RouteRule canary = rule("canary", "*", 0, null);
            canary.setVariants(List.of(new RouteVariant("medical", 1), new RouteVariant("legal", 1)));
            rules.add(canary);
            for (int i = 0; i < 100; i++) {
                rules.record("a", "record-" + i, 0);
            }

            List<String> routed = rules.routed();
            assertThat(routed.stream().filter(one -> one.endsWith("=medical")).count())
                    .isBetween(30L, 70L);
        }
    }

    @Test
    void recordsWithAnErrorOrTheirOwnStackPass() throws Exception {
        try (Rules rules = Rules.eventTime(null)) {
            rules.add(rule("r", "*", 0, "medical"));
            RoutedRequest pinned = RouterHarness.request("a", "1");
            pinned.setPinned(true);
            pinned.setStack("own");
            RoutedRequest rejected = RouterHarness.request("a", "2");
            rejected.setErrorCode("INVALID_REQUEST");
            rules.record(pinned, 10);
            rules.record(rejected, 10);

            assertThat(rules.routed()).containsExactly("1=own", "2=default");
        }
    }

    @Test
    void rulesAreRestored() throws Exception {
        OperatorSubtaskState snapshot;
        try (Rules rules = Rules.processingTime(null)) {
            rules.add(rule("r", "a*", 0, "medical"));
            snapshot = rules.snapshot();
        }
        try (Rules rules = Rules.processingTime(snapshot)) {
            rules.record("abc", "1", 0);

            assertThat(rules.routed()).containsExactly("1=medical");
        }
    }

    @Test
    void inEventTimeARecordTakesTheRulesOfItsTime() throws Exception {
        OperatorSubtaskState snapshot;
        try (Rules rules = Rules.eventTime(null)) {
            rules.record("a", "at 5", 5);
            rules.record("a", "at 15", 15);
            rules.record("a", "at 25", 25);
            rules.add(validFrom(20L, rule("r", "*", 0, "legal")));
            rules.add(validFrom(10L, rule("r", "a", 0, "medical")));
            rules.watermark(15);

            assertThat(rules.routed()).containsExactly("at 5=default", "at 15=medical");
            snapshot = rules.snapshot();
        }
        try (Rules rules = Rules.eventTime(snapshot)) {
            rules.watermark(30);

            assertThat(rules.routed()).containsExactly("at 25=legal");
        }
    }

    @Test
    void lateRecordIsDecidedAtOnceByTheRulesStillKnown() throws Exception {
        try (Rules rules = Rules.eventTime(null)) {
            rules.add(validFrom(10L, rule("r", "*", 0, "medical")));
            rules.add(validFrom(20L, rule("r", "*", 0, "legal")));
            rules.watermark(30);
            rules.add(validFrom(40L, rule("r", "*", 0, "finance")));
            rules.record("a", "late", 5);

            assertThat(rules.routed()).containsExactly("late=legal");
        }
    }

    @Test
    void ruleTakenAwayDoesNotComeBackByALateOne() throws Exception {
        try (Rules rules = Rules.eventTime(null)) {
            rules.add(validFrom(50L, rule("r", "*", 0, null)));
            rules.watermark(60);
            rules.add(validFrom(30L, rule("r", "*", 0, "late")));
            rules.record("a", "1", 70);
            rules.watermark(70);

            assertThat(rules.routed()).containsExactly("1=default");
        }
    }

    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void malformedRulesAreRejectedWithTheReason() throws Exception {
        AdapterNames names = () -> List.of("medical")::contains;
        RuleCheck check = new RuleCheck(new RouteChanges(OnError.EMIT, names, AdapterPrefetch.NONE), true);
        try (OneInputStreamOperatorTestHarness<RouteRule, RouteRule> harness =
                new OneInputStreamOperatorTestHarness<>(new ProcessOperator<>(check))) {
            harness.open();
            harness.processElement(validFrom(null, rule("good", "a", 1, " medical ")), 7);
            harness.processElement(rule(null, "a", 1, "medical"), 7);
            harness.processElement(rule("stack", "a", 1, "a:b:c"), 7);
            harness.processElement(rule("unknown", "a", 1, "typo"), 7);
            harness.processElement(new StreamRecord<>(validFrom(null, rule("time", "a", 1, "medical"))));

            assertThat(harness.extractOutputValues()).containsExactly(validFrom(7L, rule("good", "a", 1, "medical")));
            assertThat(harness.getSideOutput(RouteChanges.rejectedTag()))
                    .extracting(StreamRecord::getValue)
                    .extracting(RejectedRoute::getErrorCode)
                    .containsExactly("INVALID_REQUEST", "INVALID_REQUEST", "ADAPTER_NOT_FOUND", "INVALID_REQUEST");
        }
    }

    private static RouteRule rule(String name, String keyPattern, int position, String stack) {
        return new RouteRule(name, keyPattern, position, stack, null, RuleBook.ALWAYS);
    }

    private static RouteRule validFrom(Long time, RouteRule rule) {
        rule.setValidFrom(time);
        return rule;
    }

    /** The rules in the operator that runs them. */
    private record Rules(AbstractBroadcastStreamOperatorTestHarness<RoutedRequest, RouteRule, RoutedRequest> harness)
            implements AutoCloseable {

        static Rules processingTime(OperatorSubtaskState restored) throws Exception {
            return open(
                    new BroadcastOperatorTestHarness<>(
                            new CoBroadcastWithNonKeyedOperator<>(
                                    new ProcessingTimeRules<>(new RequestOnly<>(), AdapterPrefetch.NONE),
                                    List.of(RuleBook.descriptor())),
                            1,
                            1,
                            0),
                    restored);
        }

        static Rules eventTime(OperatorSubtaskState restored) throws Exception {
            RequestOnly<Void> carrier = new RequestOnly<>();
            return open(
                    new KeyedBroadcastOperatorTestHarness<>(
                            new CoBroadcastWithKeyedOperator<>(
                                    new EventTimeRules<>(carrier, AdapterPrefetch.NONE),
                                    List.of(RuleBook.descriptor())),
                            carrier::keyOf,
                            Types.STRING,
                            1,
                            1,
                            0),
                    restored);
        }

        private static Rules open(
                AbstractBroadcastStreamOperatorTestHarness<RoutedRequest, RouteRule, RoutedRequest> harness,
                OperatorSubtaskState restored)
                throws Exception {
            harness.setup();
            if (restored != null) {
                harness.initializeState(restored);
            }
            harness.open();
            return new Rules(harness);
        }

        void add(RouteRule rule) throws Exception {
            harness.processBroadcastElement(new StreamRecord<>(rule));
        }

        void record(String key, String id, long time) throws Exception {
            record(RouterHarness.request(key, id), time);
        }

        void record(RoutedRequest request, long time) throws Exception {
            harness.processElement(request, time);
        }

        void watermark(long time) throws Exception {
            harness.watermark(time);
        }

        OperatorSubtaskState snapshot() throws Exception {
            return harness.snapshot(1, 1);
        }

        List<String> routed() {
            List<String> routed = harness.extractOutputValues().stream()
                    .map(request -> request.getId() + "=" + request.getStack())
                    .toList();
            harness.getOutput().clear();
            return routed;
        }

        @Override
        public void close() {
            try {
                harness.close();
            } catch (Exception e) {
                throw new IllegalStateException("The harness could not be closed.", e);
            }
        }
    }
}
