package io.llamafu.flink.routing;

import io.llamafu.LlamafuException;
import io.llamafu.flink.RouteVariant;
import org.junit.jupiter.api.Test;

import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class VariantsTest {
    private static final int RECORDS = 10_000;

    /** The standard deviation of the count is 30. */
    @Test
    void canaryGetsItsShare() {
        List<RouteVariant> variants = variants(90, 10);

        long canary = IntStream.range(0, RECORDS)
                .filter(i -> choose(variants, byId(String.valueOf(i))).equals("canary"))
                .count();
        assertThat(canary).isBetween(910L, 1090L);
    }

    @Test
    void recordsWithoutIdAreToldApartByKeyAndPrompt() {
        List<RouteVariant> variants = variants(50, 50);

        long canary = IntStream.range(0, RECORDS)
                .filter(i -> choose(variants, request(null, "key-" + i % 100, "prompt " + i / 100))
                        .equals("canary"))
                .count();
        assertThat(canary).isBetween(4850L, 5150L);
        assertThat(choose(variants, request(null, "key", "prompt")))
                .isEqualTo(choose(variants, request(null, "key", "prompt")));
    }

    @Test
    void moreWeightTakesNoRecordAway() {
        for (int i = 0; i < RECORDS; i++) {
            RoutedRequest request = byId(String.valueOf(i));
            if (choose(variants(90, 10), request).equals("canary")) {
                assertThat(choose(variants(70, 30), request)).as("record %s", i).isEqualTo("canary");
                assertThat(choose(variants(7, 3), request)).as("record %s", i).isEqualTo("canary");
            }
        }
    }

    @Test
    void weightOfZeroTakesNothing() {
        for (int i = 0; i < RECORDS; i++) {
            assertThat(choose(variants(0, 1), byId(String.valueOf(i)))).isEqualTo("canary");
            assertThat(choose(variants(1, 0), byId(String.valueOf(i)))).isEqualTo("stable");
        }
    }

    @Test
    void largestWeightsDoNotOverflow() {
        List<RouteVariant> variants = Collections.nCopies(Variants.MOST, new RouteVariant("a", Integer.MAX_VALUE));

        assertThat(Variants.check(null, variants)).hasSize(Variants.MOST);
        for (int i = 0; i < 1000; i++) {
            assertThat(choose(variants, byId(String.valueOf(i)))).isEqualTo("a");
        }
    }

    @Test
    void writtenFormsLoseTheirWhiteSpace() {
        assertThat(Variants.check(null, List.of(new RouteVariant(" medical + formal : 0.5", 1))))
                .containsExactly(new RouteVariant("medical+formal:0.5", 1));
        assertThat(Variants.check("medical", null)).isNull();
        assertThat(Variants.check("medical", List.of())).isNull();
    }

    @Test
    void contradictionsAreNamed() {
        assertThatThrownBy(() -> Variants.check("medical", variants(1, 1)))
                .isInstanceOf(LlamafuException.class)
                .hasMessageContaining("both a stack and variants");
        assertThatThrownBy(() -> Variants.check(null, Collections.nCopies(101, new RouteVariant("a", 1))))
                .hasMessageContaining("101 variants");
        assertThatThrownBy(() -> Variants.check(null, variants(0, 0))).hasMessageContaining("all 0");
        assertThatThrownBy(() -> Variants.check(null, variants(-1, 5))).hasMessageContaining("'stable' is -1");
    }

    private static String choose(List<RouteVariant> variants, RoutedRequest request) {
        return Variants.choose(null, variants, request);
    }

    private static List<RouteVariant> variants(int stable, int canary) {
        return List.of(new RouteVariant("stable", stable), new RouteVariant("canary", canary));
    }

    private static RoutedRequest byId(String id) {
        return request(id, "key", "prompt");
    }

    private static RoutedRequest request(String id, String key, String prompt) {
        return RoutedRequest.newBuilder()
                .setId(id)
                .setKey(key)
                .setPrompt(prompt)
                .build();
    }
}
