package io.llamafu.flink.routing;

import io.llamafu.flink.routing.RouterHarness.Backend;
import io.llamafu.flink.routing.RouterHarness.Setting;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;

class EventTimeRouterTest {

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

    /** The same input, reprocessed with 20 random interleavings and watermarks in between, is routed alike. */
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

    /** Both inputs in their own order of time, interleaved at random; the watermark follows the slower one. */
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

    /** Without watermarks in between, any order of arrival at all gives the same. */
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
            assertThat(router.history("a").getVersions()).hasSize(100);
            router.watermark(90);

            assertThat(router.history("a").getVersions())
                    .as("the one that holds at 90, and ten of the future")
                    .hasSize(11);
            router.watermark(200);
            assertThat(router.history("a").getVersions()).containsExactly(new RouteVersion(100L, "stack-100", null));
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

    /** Only routes expire: a record that waits is never lost. */
    @ParameterizedTest
    @EnumSource
    void routeOfAnIdleKeyIsForgottenAndItsWaitingRecordsAreNot(Backend backend) throws Exception {
        try (RouterHarness router =
                Setting.eventTime(backend).ttl(Duration.ofHours(1)).open()) {
            router.clock(Duration.ZERO);
            router.route("a", "medical", 5);
            router.record("a", "1", 10);
            router.clock(Duration.ofHours(2));
            router.watermark(10);

            assertThat(router.routed()).containsExactly("1=default");
        }
    }
}
