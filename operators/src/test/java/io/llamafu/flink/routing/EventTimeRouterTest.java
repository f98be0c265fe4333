package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.routing.RouterHarness.Backend;
import io.llamafu.flink.routing.RouterHarness.Setting;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.AbstractStreamOperatorTestHarness;
import org.apache.flink.streaming.util.KeyedTwoInputStreamOperatorTestHarness;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class EventTimeRouterTest {
    private final List<AbstractStreamOperatorTestHarness<?>> opened = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        for (AbstractStreamOperatorTestHarness<?> job : opened) {
            job.close();
        }
    }

    private interface Step {
        void run(RouterHarness router) throws Exception;
    }

    @ParameterizedTest
    @EnumSource
    void recordTakesTheNewestRouteUntilItsTime(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "at 9", 9);
            router.record("a", "at 10", 10);
            router.record("a", "at 25", 25);
            router.route("a", "second", 20);
            router.route("a", "first", 10);
            router.route("b", "other", 5);

            assertThat(router.routed())
                    .as("nothing is decided before the watermark")
                    .isEmpty();
            router.watermark(19);
            assertThat(router.routed()).containsExactly("at 9=default", "at 10=first");
            router.watermark(30);
            assertThat(router.routed()).containsExactly("at 25=second");
        }
    }

    @ParameterizedTest
    @EnumSource
    void decisionWaitsForTheWatermarkOfBothInputs(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "1", 10);
            router.watermark(9);
            router.route("a", "medical", 10);
            router.watermark(10);

            assertThat(router.routed()).containsExactly("1=medical");
        }
    }

    /** The same input, processed with 20 random interleavings with watermarks in between, is routed the same way. */
    @ParameterizedTest
    @EnumSource
    void interleavingOfTheInputsDoesNotMatter(Backend backend) throws Exception {
        List<String> expected = null;
        for (int seed = 0; seed < 20; seed++) {
            List<String> routed = routeShuffled(backend, new Random(seed));
            if (expected == null) {
                expected = routed;
                assertThat(expected).hasSize(200).contains("record 0=default").contains("record 199=stack-19");
            }
            assertThat(routed).as("seed %s", seed).isEqualTo(expected);
        }
    }

    /** Both inputs in time order, interleaved at random; the watermark follows the slower one. */
    private static List<String> routeShuffled(Backend backend, Random random) throws Exception {
        List<String> routed = new ArrayList<>();
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            int record = 0;
            int route = 1;
            while (record < 200 || route < 20) {
                boolean takeRecord = route == 20 || (record < 200 && random.nextInt(11) > 0);
                if (takeRecord) {
                    router.record("a", "record " + record, record);
                    record++;
                } else {
                    router.route("a", "stack-" + route, route * 10L);
                    route++;
                }
                if (random.nextInt(5) == 0) {
                    router.watermark(Math.min(record, route * 10L) - 1);
                    routed.addAll(router.routed());
                }
            }
            router.watermark(Long.MAX_VALUE);
            routed.addAll(router.routed());
        }
        return routed;
    }

    /** Without watermarks in between, any order of arrival gives the same result. */
    @ParameterizedTest
    @EnumSource
    void orderOfArrivalDoesNotMatterBeforeTheWatermark(Backend backend) throws Exception {
        List<Step> steps = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            int time = i;
            steps.add(router -> router.record("a", "record " + time, time));
            steps.add(router -> router.route("a", "stack-" + time, time));
        }
        for (int seed = 0; seed < 10; seed++) {
            Collections.shuffle(steps, new Random(seed));
            try (RouterHarness router = RouterHarness.eventTime(backend)) {
                for (Step step : steps) {
                    step.run(router);
                }
                router.watermark(100);
                List<String> routed = router.routed();
                for (int time = 0; time < 10; time++) {
                    assertThat(routed.get(time)).isEqualTo("record " + time + "=stack-" + time);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void recordsOfOneTimeLeaveInTheOrderOfArrivalWithTheirTimestamp(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            for (int i = 0; i < 300; i++) {
                router.record("a", String.valueOf(i), 42);
            }
            router.watermark(42);

            List<StreamRecord<? extends RoutedRequest>> records = router.records();
            assertThat(records).hasSize(300).allMatch(record -> record.getTimestamp() == 42);
            for (int i = 0; i < 300; i++) {
                assertThat(records.get(i).getValue().getId()).isEqualTo(String.valueOf(i));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void versionsThatNoRecordCanNeedAreDropped(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            for (int time = 1; time <= 100; time++) {
                router.route("a", "stack-" + time, time);
            }
            assertThat(router.coming("a")).isEqualTo(100);
            router.watermark(90);

            assertThat(router.history("a").getVersions())
                    .as("the one that holds at 90")
                    .containsExactly(new RouteVersion(90L, "stack-90", null));
            assertThat(router.coming("a")).isEqualTo(10);
            router.watermark(200);
            assertThat(router.history("a").getVersions()).containsExactly(new RouteVersion(100L, "stack-100", null));
            assertThat(router.coming("a")).isZero();
        }
    }

    /** The state of each change is written once and read once, however many there are. */
    @ParameterizedTest
    @EnumSource
    void stormOfChangesOfOneKeyIsKeptChangeByChange(Backend backend) throws Exception {
        int changes = 10_000;
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            for (int time = 1; time <= changes; time++) {
                router.route("a", "stack-" + time, time);
                assertThat(router.history("a")).as("what holds is not written").isNull();
            }
            router.record("a", "middle", changes / 2);
            router.watermark(changes);
            router.record("a", "end", changes);

            assertThat(router.routed()).containsExactly("middle=stack-" + changes / 2, "end=stack-" + changes);
        }
    }

    /** A removal is remembered for a while, because late changes must not undo it. */
    @ParameterizedTest
    @EnumSource
    void routeThatWasTakenAwayLeavesTheState(Backend backend) throws Exception {
        long removal = 50;
        long forgotten = RouteState.forgottenFrom(removal);
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "medical", 10);
            router.route("a", null, removal);
            router.watermark(forgotten - 1);
            router.route("a", "late", 30);
            router.record("a", "1", forgotten);
            assertThat(router.history("a")).isNotNull();
            router.watermark(forgotten);

            assertThat(router.routed()).containsExactly("1=default");
            assertThat(router.history("a")).isNull();
            assertThat(router.coming("a")).isZero();
            assertThat(router.waitingTimers()).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource
    void lateRouteChangeIsNotKeptWhereANewerOneHolds(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "new", 50);
            router.watermark(60);
            router.route("a", "late", 30);
            router.record("a", "1", 70);
            router.watermark(70);

            assertThat(router.routed()).containsExactly("1=new");
            assertThat(router.history("a").getVersions()).containsExactly(new RouteVersion(50L, "new", null));
        }
    }

    @ParameterizedTest
    @EnumSource
    void lateRecordIsRoutedAtOnceWithTheVersionsStillHeld(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "first", 10);
            router.route("a", "second", 20);
            router.route("b", "only", 20);
            router.watermark(30);
            router.record("a", "late 25", 25);
            router.record("a", "late 15", 15);
            router.record("b", "late 5", 5);
            router.record("c", "late 30", 30);

            assertThat(router.routed())
                    .as("'first' is gone, so 'second' is the nearest; nothing of b is gone, so the default holds")
                    .containsExactly("late 25=second", "late 15=second", "late 5=default", "late 30=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void validFromGoesBeforeTheTimestampOfTheElement(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.routeValidFrom("a", "announced", 50);
            router.record("a", "1", 49);
            router.record("a", "2", 50);
            router.watermark(100);

            assertThat(router.routed()).containsExactly("1=default", "2=announced");
        }
    }

    @ParameterizedTest
    @EnumSource
    void restoredRecordsAndRoutesAreDecidedAsIfNothingHappened(Backend backend) throws Exception {
        OperatorSubtaskState snapshot;
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "1", 10);
            router.record("a", "2", 10);
            router.record("b", "3", 20);
            router.route("a", "medical", 10);
            snapshot = router.snapshot();
        }
        try (RouterHarness router = Setting.eventTime(backend).open(snapshot)) {
            router.route("b", "legal", 15);
            router.record("a", "4", 10);
            router.watermark(20);

            assertThat(router.routed()).containsExactly("1=medical", "2=medical", "4=medical", "3=legal");
        }
    }

    @ParameterizedTest
    @EnumSource
    void jobsWithAndWithoutTheirRecordsRefuseEachOthersSavepoints(Backend backend) throws Exception {
        Carrier<String, RoutedRequest, ?> alone = new RequestOnly<>();
        Carrier<String, Tuple2<RoutedRequest, String>, ?> withRecord = new WithRecord<>(Types.STRING);

        assertRefuses(savepoint(backend, alone), backend, withRecord);
        assertRefuses(savepoint(backend, withRecord), backend, alone);
    }

    /** With a record that waits. */
    private <E> OperatorSubtaskState savepoint(Backend backend, Carrier<String, E, ?> carrier) throws Exception {
        KeyedTwoInputStreamOperatorTestHarness<String, E, AdapterRoute, E> job = job(backend, carrier);
        job.open();
        job.processElement1(carrier.carry("record", RouterHarness.request("a", "1")), 10);
        return job.snapshot(1, 1);
    }

    private <E> void assertRefuses(OperatorSubtaskState savepoint, Backend backend, Carrier<String, E, ?> carrier)
            throws Exception {
        KeyedTwoInputStreamOperatorTestHarness<String, E, AdapterRoute, E> job = job(backend, carrier);
        job.initializeState(savepoint);

        assertThatThrownBy(job::open)
                .isInstanceOfSatisfying(LlamafuException.class, refused -> assertThat(refused.code())
                        .isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContaining("--drain");
    }

    private <E> KeyedTwoInputStreamOperatorTestHarness<String, E, AdapterRoute, E> job(
            Backend backend, Carrier<String, E, ?> carrier) throws Exception {
        KeyedTwoInputStreamOperatorTestHarness<String, E, AdapterRoute, E> job =
                new KeyedTwoInputStreamOperatorTestHarness<>(
                        new EventTimeRouter<>(AdapterPrefetch.NONE, carrier, null),
                        carrier::keyOf,
                        RouteChanges::keyOf,
                        Types.STRING);
        job.setStateBackend(backend.create());
        opened.add(job);
        job.setup();
        return job;
    }

    @ParameterizedTest
    @EnumSource
    void recordWithoutTimestampIsOneCodedError(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "1");

            assertThat(router.requests()).singleElement().satisfies(request -> {
                assertThat(request.getErrorCode()).isEqualTo("INVALID_REQUEST");
                assertThat(request.getError()).contains("WatermarkStrategy");
            });
        }
    }

    @ParameterizedTest
    @EnumSource
    void changesWithoutTimeAreRejected(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "medical");
            router.record("a", "1", 10);
            router.watermark(10);

            assertThat(router.routed()).containsExactly("1=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void nothingIsLeftAtTheEndOfInput(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "1", Long.MAX_VALUE);
            router.record("a", "2", 0);
            router.watermark(Long.MAX_VALUE);

            assertThat(router.routed()).containsExactly("2=default", "1=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void recordThatNamesItsStackDoesNotWait(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            RoutedRequest request = RouterHarness.request("a", "1");
            request.setStack("own");
            request.setPinned(true);
            router.record(request, 10);

            assertThat(router.routed()).containsExactly("1=own");
        }
    }

    /** A record that waits for the watermark keeps its route in use. */
    @ParameterizedTest
    @EnumSource
    void routeThatARecordWaitsForIsNotForgotten(Backend backend) throws Exception {
        try (RouterHarness router =
                Setting.eventTime(backend).ttl(Duration.ofHours(1)).open()) {
            router.clock(Duration.ZERO);
            router.route("a", "medical", 5);
            router.watermark(5);
            router.record("a", "1", 10);
            router.route("idle", "legal", 5);
            router.clock(Duration.ofHours(5));
            router.watermark(10);
            router.record("idle", "2", 20);
            router.clock(Duration.ofMinutes(359));
            router.record("a", "3", 20);
            router.watermark(20);

            assertThat(router.routed()).containsExactlyInAnyOrder("1=medical", "2=default", "3=medical");
        }
    }

    /** Changes whose time is still to come are not idle routes. */
    @ParameterizedTest
    @EnumSource
    void announcedRouteIsNotForgottenBeforeItsTime(Backend backend) throws Exception {
        try (RouterHarness router =
                Setting.eventTime(backend).ttl(Duration.ofHours(1)).open()) {
            router.clock(Duration.ZERO);
            router.route("a", "first", 5);
            router.route("a", "second", 50);
            router.watermark(5);
            router.clock(Duration.ofHours(5));
            router.record("a", "1", 10);
            router.watermark(10);
            router.record("a", "2", 60);
            router.watermark(60);

            assertThat(router.routed()).containsExactly("1=first", "2=second");
        }
    }

    @ParameterizedTest
    @EnumSource
    void outageForgetsNoRoute(Backend backend) throws Exception {
        Setting setting = Setting.eventTime(backend).ttl(Duration.ofHours(1));
        OperatorSubtaskState snapshot;
        try (RouterHarness router = setting.open()) {
            router.clock(Duration.ZERO);
            router.route("a", "medical", 5);
            router.watermark(5);
            snapshot = router.snapshot();
        }
        try (RouterHarness router = setting.open(snapshot, Duration.ofHours(30))) {
            router.clock(Duration.ofHours(30).plusMinutes(59));
            router.record("a", "1", 10);
            router.watermark(10);
            assertThat(router.routed()).containsExactly("1=medical");

            router.clock(Duration.ofHours(32));
            router.record("a", "2", 20);
            router.watermark(20);
            assertThat(router.routed())
                    .as("an hour without use, while the job ran")
                    .containsExactly("2=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void routesFromBeforeTheTtlWasSetAreForgottenToo(Backend backend) throws Exception {
        OperatorSubtaskState snapshot;
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "medical", 5);
            router.watermark(5);
            snapshot = router.snapshot();
        }
        try (RouterHarness router =
                Setting.eventTime(backend).ttl(Duration.ofHours(1)).open(snapshot, Duration.ofHours(30))) {
            router.clock(Duration.ofHours(32));

            assertThat(router.history("a")).isNull();
        }
    }

    /** The task has other work, such as a checkpoint, after each record. */
    @ParameterizedTest
    @EnumSource
    void recordsGoOneByOneIfTheTaskHasSomethingElseToDo(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "medical", 10);
            router.route("a", "legal", 11);
            for (int i = 0; i < 5; i++) {
                router.record("a", "a" + i, 10);
                router.record("b", "b" + i, 10);
            }
            router.record("a", "after", 11);
            router.interrupt();
            router.watermark(11);

            List<String> routed = new ArrayList<>(router.routed());
            assertThat(routed).as("the rest waits until the task was there").hasSizeBetween(1, 2);
            assertThat(router.watermarkOut()).isEmpty();
            while (routed.size() < 11) {
                router.interrupt();
                router.runMail();
                Optional<Long> watermark = router.watermarkOut();
                routed.addAll(router.routed());
                assertThat(watermark.isPresent() && routed.size() < 11)
                        .as("the watermark overtakes a record")
                        .isFalse();
            }

            assertThat(routed)
                    .filteredOn(one -> one.startsWith("a"))
                    .containsExactly(
                            "a0=medical", "a1=medical", "a2=medical", "a3=medical", "a4=medical", "after=legal");
            assertThat(routed)
                    .filteredOn(one -> one.startsWith("b"))
                    .containsExactly("b0=default", "b1=default", "b2=default", "b3=default", "b4=default");
        }
    }

    /** An idle output drops watermarks. */
    @ParameterizedTest
    @EnumSource
    void idlenessWaitsForTheWatermarkOfAnInterruptedRelease(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "a0", 60);
            router.record("a", "a1", 60);
            router.interrupt();
            router.watermark(100);
            router.status1(WatermarkStatus.IDLE);
            router.status2(WatermarkStatus.IDLE);
            assertThat(router.marksOut()).isEmpty();

            while (router.runMail()) {
                // until all have been emitted
            }
            assertThat(router.marksOut()).containsExactly(new Watermark(100), WatermarkStatus.IDLE);

            router.status1(WatermarkStatus.ACTIVE);
            assertThat(router.marksOut()).containsExactly(WatermarkStatus.ACTIVE);
        }
    }

    @ParameterizedTest
    @EnumSource
    void whatIsLeftOfAnInterruptedReleaseIsInTheCheckpoint(Backend backend) throws Exception {
        List<String> before;
        OperatorSubtaskState snapshot;
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "medical", 10);
            for (int i = 0; i < 5; i++) {
                router.record("a", String.valueOf(i), 10);
            }
            router.interrupt();
            router.watermark(20);
            before = router.routed();
            snapshot = router.snapshot();
        }
        try (RouterHarness router = Setting.eventTime(backend).open(snapshot)) {
            router.record("a", "5", 10);
            router.watermark(20);

            List<String> all = new ArrayList<>(before);
            all.addAll(router.routed());
            assertThat(before).hasSizeLessThan(5);
            assertThat(all)
                    .containsExactly("0=medical", "1=medical", "2=medical", "3=medical", "4=medical", "5=medical");
        }
    }

    /** A late change must not drop versions that waiting records still need. */
    @ParameterizedTest
    @EnumSource
    void lateChangeDuringAnInterruptedReleaseDropsNothing(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.route("a", "first", 10);
            router.route("a", "second", 30);
            router.record("a", "at 10", 10);
            router.record("a", "at 20", 20);
            router.record("a", "at 40", 40);
            router.interrupt();
            router.watermark(50);
            router.route("a", "late", 45);
            router.record("a", "late at 46", 46);
            router.record("a", "late at 5", 5);
            while (router.runMail()) {
                // until all have been emitted
            }

            assertThat(router.routed())
                    .containsExactlyInAnyOrder(
                            "at 10=first", "at 20=first", "at 40=second", "late at 46=late", "late at 5=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void atTheEndOfTheInputAnInterruptedReleaseIsCompleted(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            for (int i = 0; i < 5; i++) {
                router.record("a", String.valueOf(i), 10);
            }
            router.interrupt();
            router.watermark(Long.MAX_VALUE);
            assertThat(router.watermarkOut()).isEmpty();
            router.finish();

            assertThat(router.watermarkOut()).contains(Long.MAX_VALUE);
            assertThat(router.routed()).hasSize(5);
        }
    }

    /** Flink's sources mark a missing timestamp with the smallest value. */
    @ParameterizedTest
    @EnumSource
    void smallestTimestampIsNone(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.eventTime(backend)) {
            router.record("a", "1", Long.MIN_VALUE);
            router.route("a", "medical", Long.MIN_VALUE);

            assertThat(router.requests()).singleElement().satisfies(request -> assertThat(request.getError())
                    .contains("no timestamp"));
            assertThat(router.rejected()).singleElement().satisfies(rejected -> assertThat(rejected.getError())
                    .contains("no time"));
        }
    }
}
