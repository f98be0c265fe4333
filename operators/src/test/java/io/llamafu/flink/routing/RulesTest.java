package io.llamafu.flink.routing;

import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.function.SerializableSupplier;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;

class RulesTest {
    @Test
    void firstRuleThatMatchesHolds() throws Exception {
        try (RulesHarness rules = RulesHarness.processingTime(null)) {
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
        try (RulesHarness rules = RulesHarness.processingTime(null)) {
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
        try (RulesHarness rules = RulesHarness.processingTime(null)) {
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
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
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
        try (RulesHarness rules = RulesHarness.processingTime(null)) {
            rules.add(rule("r", "a*", 0, "medical"));
            snapshot = rules.snapshot();
        }
        try (RulesHarness rules = RulesHarness.processingTime(snapshot)) {
            rules.record("abc", "1", 0);

            assertThat(rules.routed()).containsExactly("1=medical");
        }
    }

    @Test
    void inEventTimeARecordTakesTheRulesOfItsTime() throws Exception {
        OperatorSubtaskState snapshot;
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
            rules.record("a", "at 5", 5);
            rules.record("a", "at 15", 15);
            rules.record("a", "at 25", 25);
            rules.add(validFrom(20L, rule("r", "*", 0, "legal")));
            rules.add(validFrom(10L, rule("r", "a", 0, "medical")));
            rules.watermark(15);

            assertThat(rules.routed()).containsExactly("at 5=default", "at 15=medical");
            snapshot = rules.snapshot();
        }
        try (RulesHarness rules = RulesHarness.eventTime(snapshot)) {
            rules.watermark(30);

            assertThat(rules.routed()).containsExactly("at 25=legal");
        }
    }

    @Test
    void lateRecordIsDecidedAtOnceByTheRulesStillKnown() throws Exception {
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
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
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
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
        SerializableSupplier<Predicate<String>> names = () -> List.of("medical")::contains;
        ChangeCheck<RouteRule> check = ChangeCheck.ofRules(new RouteChanges(OnError.EMIT, names), true);
        try (OneInputStreamOperatorTestHarness<RouteRule, RouteRule> harness =
                new OneInputStreamOperatorTestHarness<>(check)) {
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

    /** A store may be slow to answer; the task must not wait for it. */
    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void taskDoesNotAskTheStoreItself() throws Exception {
        List<Thread> asking = new CopyOnWriteArrayList<>();
        SerializableSupplier<Predicate<String>> names = () -> name -> asking.add(Thread.currentThread());
        try (OneInputStreamOperatorTestHarness<RouteRule, RouteRule> harness = new OneInputStreamOperatorTestHarness<>(
                ChangeCheck.ofRules(new RouteChanges(OnError.EMIT, names), false))) {
            harness.open();
            harness.processElement(rule("r", "a", 1, "medical"), 7);

            assertThat(harness.extractOutputValues()).hasSize(1);
            assertThat(asking).hasSize(1).doesNotContain(Thread.currentThread());
        }
    }

    /**
     * Subtask 0 is far ahead and has dropped versions that records of subtask 1 still need. Then one subtask continues
     * for both.
     */
    @Test
    void afterARescaleARecordTakesTheRuleOfItsTimeWhoeverWroteTheRules() throws Exception {
        OperatorSubtaskState ahead;
        OperatorSubtaskState behind;
        String key = keyOf(1);
        try (RulesHarness fast = RulesHarness.eventTime(null, 2, 0);
                RulesHarness slow = RulesHarness.eventTime(null, 2, 1)) {
            for (RulesHarness rules : List.of(fast, slow)) {
                rules.add(validFrom(10L, rule("r", "*", 0, "medical")));
                rules.add(validFrom(20L, rule("r", "*", 0, "legal")));
                rules.add(validFrom(10L, rule("gone", "*", -1, "formal")));
                rules.add(validFrom(13L, rule("gone", "*", -1, null)));
            }
            slow.record(key, "at 12", 12);
            slow.record(key, "at 15", 15);
            slow.record(key, "at 25", 25);
            slow.watermark(5);
            fast.watermark(RouteState.forgottenFrom(20));
            assertThat(fast.names()).as("it is far ahead").containsExactly("r");
            ahead = fast.snapshot();
            behind = slow.snapshot();
        }
        OperatorSubtaskState both = AbstractStreamOperatorTestHarness.repackageState(ahead, behind);
        for (int subtask = 0; subtask < 2; subtask++) {
            assertRoutes(
                    AbstractStreamOperatorTestHarness.repartitionOperatorState(
                            both, RulesHarness.MAX_PARALLELISM, 2, 2, subtask),
                    2,
                    subtask);
        }
        assertRoutes(
                AbstractStreamOperatorTestHarness.repartitionOperatorState(both, RulesHarness.MAX_PARALLELISM, 2, 1, 0),
                1,
                0);
    }

    private static void assertRoutes(OperatorSubtaskState state, int parallelism, int subtask) throws Exception {
        try (RulesHarness rules = RulesHarness.eventTime(state, parallelism, subtask)) {
            rules.watermark(30);
            assertThat(rules.routed())
                    .isEqualTo(
                            parallelism == 1 || subtask == 1
                                    ? List.of("at 12=formal", "at 15=medical", "at 25=legal")
                                    : List.of());
        }
    }

    private static String keyOf(int subtask) {
        for (int i = 0; ; i++) {
            if (KeyGroupRangeAssignment.assignKeyToParallelOperator("key-" + i, RulesHarness.MAX_PARALLELISM, 2)
                    == subtask) {
                return "key-" + i;
            }
        }
    }

    @Test
    void ruleThatWasTakenAwayLeavesTheState() throws Exception {
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
            rules.add(validFrom(10L, rule("r", "*", 0, "medical")));
            rules.add(validFrom(50L, rule("r", "*", 0, null)));
            rules.add(validFrom(10L, rule("stays", "b", 0, "legal")));
            rules.watermark(RouteState.forgottenFrom(50) - 1);
            assertThat(rules.names()).containsExactlyInAnyOrder("r", "stays");
            rules.watermark(RouteState.forgottenFrom(50));

            assertThat(rules.names()).containsExactly("stays");
            rules.record("a", "1", RouteState.forgottenFrom(50) + 1);
            rules.watermark(Long.MAX_VALUE);
            assertThat(rules.routed()).containsExactly("1=default");
        }
    }

    /** One subtask has dropped a removal, the other has not yet: a very late rule has the same effect in both. */
    @Test
    void veryLateRuleDoesTheSameInSubtasksThatAreNotAlikeFar() throws Exception {
        long judged = RouteState.forgottenFrom(50) + 10;
        for (boolean ahead : new boolean[] {true, false}) {
            try (RulesHarness rules = RulesHarness.eventTime(null)) {
                rules.add(validFrom(10L, rule("r", "*", 0, "medical")));
                rules.add(validFrom(50L, rule("r", "*", 0, null)));
                rules.watermarkOfRules(judged);
                if (ahead) {
                    rules.watermark(judged);
                }
                rules.add(validFrom(30L, rule("r", "*", 0, "late")), judged);
                rules.record("a", "1", judged + 1);
                rules.watermark(judged + 1);

                assertThat(rules.routed()).as("ahead: %s", ahead).containsExactly("1=late");
            }
        }
    }

    @Test
    void rulesOfALaterTimeDoNotDropWhatAReleaseUnderWayNeeds() throws Exception {
        try (RulesHarness rules = RulesHarness.eventTime(null)) {
            rules.add(validFrom(10L, rule("r", "*", 0, "medical")));
            rules.add(validFrom(20L, rule("r", "*", 0, "legal")));
            rules.record("a", "at 12", 12);
            rules.record("b", "at 13", 13);
            TaskMailbox mailbox = rules.harness().getTaskMailbox();
            mailbox.put(new Mail(() -> {}, TaskMailbox.MAX_PRIORITY, "something else"));
            rules.watermark(30);
            List<String> routed = new ArrayList<>(rules.routed());
            assertThat(routed).hasSize(1);
            rules.add(validFrom(25L, rule("r", "*", 0, "finance")), 30);
            for (Optional<Mail> mail = mailbox.tryTake(TaskMailbox.MIN_PRIORITY);
                    mail.isPresent();
                    mail = mailbox.tryTake(TaskMailbox.MIN_PRIORITY)) {
                mail.get().run();
            }
            routed.addAll(rules.routed());

            assertThat(routed).containsExactly("at 12=medical", "at 13=medical");
        }
    }

    /** Counts how often it is looked at. */
    @Test
    void keyThatIsTooLongForPatternsIsAnErrorOfItsRecord() throws Exception {
        try (RulesHarness rules = RulesHarness.processingTime(null)) {
            rules.add(rule("r", "*", 0, "medical"));
            rules.record("k".repeat(KeyPattern.LONGEST_KEY), "fits", 0);
            rules.record("k".repeat(KeyPattern.LONGEST_KEY + 1), "too long", 0);

            assertThat(rules.routed()).containsExactly("fits=medical", "too long=default");
        }
    }

    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void rulesThatCannotBeWrittenAreRejectedWhereTheyComeFrom() throws Exception {
        RouteRule noStack = rule("variants", "a", 0, null);
        noStack.setVariants(Arrays.asList(new RouteVariant("medical", 1), new RouteVariant(null, 1)));
        RouteRule good = rule("good", "\uD83D\uDE00*", 0, "medical");
        RuleTexts texts = new RuleTexts(new RouteChanges(OnError.EMIT, null));
        try (OneInputStreamOperatorTestHarness<RouteRule, RouteRule> harness =
                new OneInputStreamOperatorTestHarness<>(new ProcessOperator<>(texts))) {
            harness.open();
            harness.processElement(rule("bad \uDE00", "a", 0, "medical"), 7);
            harness.processElement(rule("pattern", "\uD83D*", 0, "medical"), 7);
            harness.processElement(noStack, 7);
            harness.processElement(good, 7);

            assertThat(harness.extractOutputValues()).containsExactly(good);
            assertThat(harness.getSideOutput(RouteChanges.rejectedTag()))
                    .extracting(StreamRecord::getValue)
                    .extracting(RejectedRoute::getErrorCode)
                    .containsExactly("INVALID_TEXT", "INVALID_TEXT", "INVALID_REQUEST");
        }
    }

    @Test
    @SuppressWarnings("try") // close of the harness may be interrupted
    void patternThatIsTooLongIsRejected() throws Exception {
        ChangeCheck<RouteRule> check = ChangeCheck.ofRules(new RouteChanges(OnError.EMIT, null), false);
        try (OneInputStreamOperatorTestHarness<RouteRule, RouteRule> harness =
                new OneInputStreamOperatorTestHarness<>(check)) {
            harness.open();
            harness.processElement(rule("fits", "a".repeat(KeyPattern.LONGEST), 0, "medical"), 7);
            harness.processElement(rule("too long", "a".repeat(KeyPattern.LONGEST + 1), 0, "medical"), 7);

            assertThat(harness.extractOutputValues())
                    .extracting(RouteRule::getName)
                    .containsExactly("fits");
        }
    }

    private static RouteRule rule(String name, String keyPattern, int position, String stack) {
        return new RouteRule(name, keyPattern, position, stack, null, RuleBook.ALWAYS);
    }

    private static RouteRule validFrom(Long time, RouteRule rule) {
        rule.setValidFrom(time);
        return rule;
    }
}
