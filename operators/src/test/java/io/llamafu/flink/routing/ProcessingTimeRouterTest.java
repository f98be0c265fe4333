package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.OnError;
import io.llamafu.flink.routing.RouterHarness.Backend;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

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
        try (RouterHarness router = RouterHarness.processingTime(backend, OnError.EMIT, snapshot)) {
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
        try (RouterHarness router = RouterHarness.processingTime(backend, OnError.FAIL, null)) {
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
            RequestFunction.reject(request, "no key");
            router.record(request, 5);

            assertThat(router.requests()).singleElement().satisfies(passed -> {
                assertThat(passed.getErrorCode()).isEqualTo("INVALID_REQUEST");
                assertThat(passed.getError()).isEqualTo("no key");
            });
        }
    }
}
