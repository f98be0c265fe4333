package io.llamafu.flink.routing;

import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.ProcessOperator;
import org.apache.flink.streaming.api.operators.co.CoBroadcastWithNonKeyedOperator;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.mailbox.Mail;
import org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailbox;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.BroadcastOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.function.SerializableSupplier;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;

class RulesTest {
    private static final int MAX_PARALLELISM = 8;

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
        try (Rules fast = Rules.eventTime(null, 2, 0);
                Rules slow = Rules.eventTime(null, 2, 1)) {
            for (Rules rules : List.of(fast, slow)) {
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
                    AbstractStreamOperatorTestHarness.repartitionOperatorState(both, MAX_PARALLELISM, 2, 2, subtask),
                    2,
                    subtask);
        }
        assertRoutes(AbstractStreamOperatorTestHarness.repartitionOperatorState(both, MAX_PARALLELISM, 2, 1, 0), 1, 0);
    }

    private static void assertRoutes(OperatorSubtaskState state, int parallelism, int subtask) throws Exception {
        try (Rules rules = Rules.eventTime(state, parallelism, subtask)) {
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
            if (KeyGroupRangeAssignment.assignKeyToParallelOperator("key-" + i, MAX_PARALLELISM, 2) == subtask) {
                return "key-" + i;
            }
        }
    }

    @Test
    void ruleThatWasTakenAwayLeavesTheState() throws Exception {
        try (Rules rules = Rules.eventTime(null)) {
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
            try (Rules rules = Rules.eventTime(null)) {
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
        try (Rules rules = Rules.eventTime(null)) {
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
    private static final class Watched extends RuleVersion {
        private static final long serialVersionUID = 1L;

        private final transient AtomicInteger looks;

        Watched(RuleVersion version, AtomicInteger looks) {
            super(
                    version.getValidFrom(),
                    version.getKeyPattern(),
                    version.getPosition(),
                    version.getStack(),
                    version.getVariants());
            this.looks = looks;
        }

        @Override
        public long getValidFrom() {
            if (looks != null) {
                looks.incrementAndGet();
            }
            return super.getValidFrom();
        }
    }

    private static void add(RuleIndex index, AtomicInteger looks, String pattern, int position, String stack) {
        Timeline timeline = Timeline.of(null);
        RuleVersion version = new Watched(new RuleVersion(0L, pattern, position, stack, null), looks);
        assertThat(timeline.add(version)).isEmpty();
        index.add(stack, version, timeline);
    }

    /** Bounds the rules that a record is compared with, rather than the time: few of 20,000 share the ends of its key. */
    @Test
    void recordAsksOnlyTheRulesWhosePatternsShareTheEndsOfItsKey() {
        int many = 10_000;
        AtomicInteger looks = new AtomicInteger();
        RuleIndex index = new RuleIndex();
        for (int i = 0; i < many; i++) {
            add(index, looks, "tenant-" + i, i, "stack-" + i);
            add(index, looks, "*-region-" + i, many + i, "region-" + i);
        }
        add(index, looks, null, 0, "formal");
        looks.set(0);

        for (int i = 0; i < many; i += 7) {
            assertThat(index.find("tenant-" + i, 0).map(RuleVersion::getStack)).hasValue("stack-" + i);
            assertThat(index.find("x-region-" + i, 0).map(RuleVersion::getStack))
                    .hasValue("region-" + i);
            assertThat(index.find("elsewhere", 0).map(RuleVersion::getStack)).hasValue("formal");
            assertThat(looks.getAndSet(0))
                    .as("rules asked for three keys, at most one for each length of its ends")
                    .isLessThanOrEqualTo(3 * Integer.toString(many).length());
        }
    }

    /** Whatever the index leaves out, a plain search of all rules finds the same. */
    @Test
    void indexFindsWhatASearchOfAllRulesFinds() {
        Random random = new Random(7);
        for (int round = 0; round < 300; round++) {
            RuleIndex index = new RuleIndex();
            List<Timeline> timelines = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                Timeline timeline = Timeline.of(null);
                timelines.add(timeline);
                String name = "rule-" + i;
                for (int version = random.nextInt(4); version >= 0; version--) {
                    RuleVersion added = new RuleVersion(
                            (long) random.nextInt(5),
                            random.nextInt(6) == 0 ? null : text(random, "ab*?", 4),
                            random.nextInt(3),
                            random.nextInt(4) == 0 ? null : name + "-" + version,
                            null);
                    timeline.add(added).ifPresent(replaced -> index.remove(name, replaced, timeline));
                    index.add(name, added, timeline);
                }
                timeline.trim(random.nextInt(4)).forEach(dropped -> index.remove(name, dropped, timeline));
            }
            for (int time = 0; time < 5; time++) {
                String key = text(random, "ab", 5);
                assertThat(index.find(key, time).map(RuleVersion::getStack))
                        .as("key %s at %s of %s", key, time, timelines)
                        .isEqualTo(search(timelines, key, time));
            }
        }
    }

    private static String text(Random random, String letters, int most) {
        StringBuilder text = new StringBuilder();
        for (int length = random.nextInt(most + 1); length > 0; length--) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        return text.toString();
    }

    private static Optional<String> search(List<Timeline> timelines, String key, long time) {
        RuleVersion found = null;
        for (Timeline timeline : timelines) {
            RuleVersion version = timeline.at(time).orElse(null);
            if (version == null || RuleBook.isRemoval(version)) {
                continue;
            }
            String pattern = version.getKeyPattern();
            if (pattern != null && !KeyPattern.of(pattern).matches(key)) {
                continue;
            }
            boolean isFirst = found == null
                    || ((pattern == null) == (found.getKeyPattern() == null)
                            && version.getPosition() < found.getPosition())
                    || (pattern != null && found.getKeyPattern() == null);
            if (isFirst) {
                found = version;
            }
        }
        return Optional.ofNullable(found).map(RuleVersion::getStack);
    }

    @Test
    void keyThatIsTooLongForPatternsIsAnErrorOfItsRecord() throws Exception {
        try (Rules rules = Rules.processingTime(null)) {
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

    /** The rules in their operator. */
    private record Rules(AbstractStreamOperatorTestHarness<RoutedRequest> harness, Inputs inputs)
            implements AutoCloseable {

        private interface Inputs {
            void record(StreamRecord<RoutedRequest> record) throws Exception;

            void rule(StreamRecord<RouteRule> rule) throws Exception;

            void watermark(Watermark mark) throws Exception;

            void watermarkOfRules(Watermark mark) throws Exception;
        }

        static Rules processingTime(OperatorSubtaskState restored) throws Exception {
            BroadcastOperatorTestHarness<RoutedRequest, RouteRule, RoutedRequest> harness =
                    new BroadcastOperatorTestHarness<>(
                            new CoBroadcastWithNonKeyedOperator<>(
                                    new ProcessingTimeRules<>(new RequestOnly<>(), AdapterPrefetch.NONE),
                                    List.of(RuleBook.descriptor())),
                            1,
                            1,
                            0);
            return open(
                    harness,
                    new Inputs() {
                        @Override
                        public void record(StreamRecord<RoutedRequest> record) throws Exception {
                            harness.processElement(record);
                        }

                        @Override
                        public void rule(StreamRecord<RouteRule> rule) throws Exception {
                            harness.processBroadcastElement(rule);
                        }

                        @Override
                        public void watermark(Watermark mark) throws Exception {
                            harness.watermark(mark.getTimestamp());
                        }

                        @Override
                        public void watermarkOfRules(Watermark mark) throws Exception {
                            harness.watermark(mark.getTimestamp());
                        }
                    },
                    restored);
        }

        static Rules eventTime(OperatorSubtaskState restored) throws Exception {
            return eventTime(restored, 1, 0);
        }

        static Rules eventTime(OperatorSubtaskState restored, int parallelism, int subtask) throws Exception {
            RequestOnly<Void> carrier = new RequestOnly<>();
            KeyedTwoInputStreamOperatorTestHarness<String, RoutedRequest, RouteRule, RoutedRequest> harness =
                    new KeyedTwoInputStreamOperatorTestHarness<>(
                            new EventTimeRules<>(AdapterPrefetch.NONE, carrier),
                            carrier::keyOf,
                            null,
                            Types.STRING,
                            MAX_PARALLELISM,
                            parallelism,
                            subtask);
            return open(
                    harness,
                    new Inputs() {
                        @Override
                        public void record(StreamRecord<RoutedRequest> record) throws Exception {
                            harness.processElement1(record);
                        }

                        @Override
                        public void rule(StreamRecord<RouteRule> rule) throws Exception {
                            harness.processElement2(rule);
                        }

                        @Override
                        public void watermark(Watermark mark) throws Exception {
                            harness.processWatermark1(mark);
                            harness.processWatermark2(mark);
                        }

                        @Override
                        public void watermarkOfRules(Watermark mark) throws Exception {
                            harness.processWatermark2(mark);
                        }
                    },
                    restored);
        }

        private static Rules open(
                AbstractStreamOperatorTestHarness<RoutedRequest> harness, Inputs inputs, OperatorSubtaskState restored)
                throws Exception {
            harness.setup();
            if (restored != null) {
                harness.initializeState(restored);
            }
            harness.open();
            return new Rules(harness, inputs);
        }

        /** Checked before the first watermark. */
        void add(RouteRule rule) throws Exception {
            add(rule, Long.MIN_VALUE);
        }

        void add(RouteRule rule, long judged) throws Exception {
            inputs.rule(new StreamRecord<>(rule, judged));
        }

        void record(String key, String id, long time) throws Exception {
            record(RouterHarness.request(key, id), time);
        }

        void record(RoutedRequest request, long time) throws Exception {
            inputs.record(new StreamRecord<>(request, time));
        }

        void watermark(long time) throws Exception {
            inputs.watermark(new Watermark(time));
        }

        void watermarkOfRules(long time) throws Exception {
            inputs.watermarkOfRules(new Watermark(time));
        }

        OperatorSubtaskState snapshot() throws Exception {
            return harness.snapshot(1, 1);
        }

        /** The names of the rules in the state. */
        List<String> names() throws Exception {
            List<String> names = new ArrayList<>();
            ((AbstractStreamOperator<?>) harness.getOperator())
                    .getOperatorStateBackend()
                    .getBroadcastState(RuleBook.descriptor())
                    .immutableEntries()
                    .forEach(rule -> names.add(rule.getKey()));
            return names;
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
