package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteVariant;
import io.llamafu.flink.routing.RouterHarness.Backend;
import io.llamafu.flink.routing.RouterHarness.Setting;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class ProcessingTimeRouterTest {

    @ParameterizedTest
    @EnumSource
    void routeChangeAppliesToTheNextRecordOfItsKeyOnly(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.record("a", "1");
            router.route("a", "medical + formal:0.5");
            router.record("a", "2");
            router.record("b", "3");
            router.route("b", "legal");
            router.route("a", "");
            router.record("a", "4");
            router.record("b", "5");

            assertThat(router.routed())
                    .containsExactly("1=default", "2=medical+formal:0.5", "3=default", "4=", "5=legal");
        }
    }

    @ParameterizedTest
    @EnumSource
    void nullStackGoesBackToTheDefaultRoute(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.route("a", "medical");
            router.route("a", null);
            router.record("a", "1");

            assertThat(router.routed()).containsExactly("1=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void routesAreRestored(Backend backend) throws Exception {
        OperatorSubtaskState snapshot;
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.route("a", "medical");
            snapshot = router.snapshot();
            router.route("a", "legal");
        }
        try (RouterHarness router = Setting.processingTime(backend).open(snapshot)) {
            router.record("a", "1");

            assertThat(router.routed()).containsExactly("1=medical");
        }
    }

    @ParameterizedTest
    @EnumSource
    void rejectedChangeLeavesThePreviousRoute(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.route("a", "medical");
            router.route("a", "../etc/passwd");
            router.route("a", "medical:much");
            router.route(null, "legal");
            router.record("a", "1");
            router.record("", "2");

            assertThat(router.routed()).containsExactly("1=medical", "2=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void malformedChangeFailsTheJobWhereErrorsDo(Backend backend) throws Exception {
        try (RouterHarness router =
                Setting.processingTime(backend).onError(OnError.FAIL).open()) {
            assertThatThrownBy(() -> router.route("a", "medical:much"))
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_REQUEST))
                    .hasMessageContaining("key 'a'")
                    .hasMessageContaining("'much'");
        }
    }

    @ParameterizedTest
    @EnumSource
    void timestampsArePreserved(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.record("a", "1", 17);
            router.record("a", "2");

            assertThat(router.records())
                    .satisfiesExactly(
                            first -> assertThat(first.getTimestamp()).isEqualTo(17),
                            second -> assertThat(second.hasTimestamp()).isFalse());
        }
    }

    @ParameterizedTest
    @EnumSource
    void recordWithAnErrorPassesAsItIs(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            RoutedRequest request = RouterHarness.request(null, "1");
            RequestFunction.reject(request, new LlamafuException(ErrorCode.INVALID_REQUEST, "no key"));
            router.record(request, 5);

            assertThat(router.requests()).singleElement().satisfies(passed -> {
                assertThat(passed.getErrorCode()).isEqualTo("INVALID_REQUEST");
                assertThat(passed.getError()).isEqualTo("no key");
            });
        }
    }

    @ParameterizedTest
    @EnumSource
    void recordThatNamesItsStackKeepsIt(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.route("a", "medical");
            RoutedRequest request = RouterHarness.request("a", "1");
            request.setStack("own");
            request.setPinned(true);
            router.record(request, 5);

            assertThat(router.routed()).containsExactly("1=own");
        }
    }

    @ParameterizedTest
    @EnumSource
    void variantsShareTheRecordsAndSurviveARestart(Backend backend) throws Exception {
        OperatorSubtaskState snapshot;
        List<String> before;
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.variants("a", new RouteVariant("medical", 90), new RouteVariant("medical-v2", 10));
            before = routeMany(router);
            snapshot = router.snapshot();
        }
        try (RouterHarness router = Setting.processingTime(backend).open(snapshot)) {
            assertThat(routeMany(router)).isEqualTo(before);
        }
        assertThat(before).hasSize(200).anyMatch(routed -> routed.endsWith("=medical"));
        assertThat(before).anyMatch(routed -> routed.endsWith("=medical-v2"));
    }

    private static List<String> routeMany(RouterHarness router) throws Exception {
        for (int i = 0; i < 200; i++) {
            router.record("a", "record-" + i);
        }
        return router.routed();
    }

    @ParameterizedTest
    @EnumSource
    void malformedVariantsAreRejectedWithTheReason(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.variants("a", new RouteVariant("medical", 0), new RouteVariant("legal", 0));
            router.variants("a", new RouteVariant("medical", -1), new RouteVariant("legal", 2));
            router.variants("a", new RouteVariant("medical", 1), new RouteVariant("a:b:c", 1));
            router.record("a", "1");

            assertThat(router.routed()).containsExactly("1=default");
            assertThat(router.rejected())
                    .extracting(RejectedRoute::getErrorCode)
                    .containsOnly("INVALID_REQUEST")
                    .hasSize(3);
            assertThat(router.rejected().get(0).getError()).contains("key 'a'", "all 0");
            assertThat(router.rejected().get(1).getError()).contains("'medical' is -1");
        }
    }

    @ParameterizedTest
    @EnumSource
    void changeToAnUnknownAdapterLeavesByTheSideOutput(Backend backend) throws Exception {
        Setting setting = Setting.processingTime(backend).onError(OnError.FAIL).adapters("medical", "formal");
        try (RouterHarness router = setting.open()) {
            router.route("a", "medical+formal:0.5");
            router.route("a", "medical+typo");
            router.variants("a", new RouteVariant("medical", 1), new RouteVariant("canary", 1));
            router.record("a", "1");

            assertThat(router.routed()).containsExactly("1=medical+formal:0.5");
            assertThat(router.rejected())
                    .satisfiesExactly(
                            first -> {
                                assertThat(first.getChange().getStack()).isEqualTo("medical+typo");
                                assertThat(first.getErrorCode()).isEqualTo("ADAPTER_NOT_FOUND");
                                assertThat(first.getError()).contains("key 'a'", "'typo'");
                            },
                            second -> assertThat(second.getError()).contains("'canary'"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void routeOfAnIdleKeyIsForgotten(Backend backend) throws Exception {
        try (RouterHarness router =
                Setting.processingTime(backend).ttl(Duration.ofHours(1)).open()) {
            router.clock(Duration.ZERO);
            router.route("used", "medical");
            router.route("idle", "legal");
            router.clock(Duration.ofMinutes(50));
            router.record("used", "1");
            router.clock(Duration.ofMinutes(100));
            router.record("used", "2");
            router.record("idle", "3");

            assertThat(router.routed()).containsExactly("1=medical", "2=medical", "3=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void routeMayBeIdleForever(Backend backend) throws Exception {
        try (RouterHarness router = Setting.processingTime(backend)
                .ttl(ChronoUnit.FOREVER.getDuration())
                .open()) {
            router.clock(Duration.ofDays(1));
            router.route("idle", "legal");
            router.clock(Duration.ofDays(10_000));
            router.record("idle", "1");

            assertThat(router.routed()).containsExactly("1=legal");
        }
    }

    @ParameterizedTest
    @EnumSource
    void outageForgetsNoRoute(Backend backend) throws Exception {
        Setting setting = Setting.processingTime(backend).ttl(Duration.ofHours(1));
        OperatorSubtaskState snapshot;
        try (RouterHarness router = setting.open()) {
            router.clock(Duration.ZERO);
            router.route("a", "medical");
            snapshot = router.snapshot();
        }
        try (RouterHarness router = setting.open(snapshot, Duration.ofHours(30))) {
            router.clock(Duration.ofHours(30).plusMinutes(59));
            router.record("a", "1");
            router.clock(Duration.ofHours(32));
            router.record("a", "2");

            assertThat(router.routed()).containsExactly("1=medical", "2=default");
        }
    }

    @ParameterizedTest
    @EnumSource
    void keyThatCannotBeWrittenIsRejectedBeforeItIsSent(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.route("\uD83Dx", "medical");
            router.route("\uD83D\uDE00", "legal");
            router.record("\uD83D\uDE00", "1");

            assertThat(router.routed()).containsExactly("1=legal");
            assertThat(router.rejected()).singleElement().satisfies(rejected -> {
                assertThat(rejected.getErrorCode()).isEqualTo("INVALID_TEXT");
                assertThat(rejected.getError()).contains("\\uD83Dx", "index 0");
            });
        }
    }

    @ParameterizedTest
    @EnumSource
    void variantWithoutAStackIsRejectedWithTheReason(Backend backend) throws Exception {
        try (RouterHarness router = RouterHarness.processingTime(backend)) {
            router.variants("a", new RouteVariant("medical", 1), new RouteVariant(null, 1));
            router.variants("a", (RouteVariant) null);
            router.record("a", "1");

            assertThat(router.routed()).containsExactly("1=default");
            assertThat(router.rejected()).hasSize(2).allSatisfy(rejected -> {
                assertThat(rejected.getErrorCode()).isEqualTo("INVALID_REQUEST");
                assertThat(rejected.getError()).contains("has no stack");
                assertThat(rejected.getChange().getKey()).isEqualTo("a");
                assertThat(rejected.getChange().getVariants())
                        .as("it can be written")
                        .isNull();
            });
            assertThat(router.rejected().get(0).getError()).contains("variant 2");
        }
    }
}
