package io.llamafu.engine.support;

import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class CpuFeaturesTest {

    @Test
    void x86FlagsAreRead() {
        List<String> cpuInfo = List.of("processor\t: 0", "model name\t: Some CPU", "flags\t\t: fpu sse4_2 avx2", "");

        assertThat(CpuFeatures.parse(cpuInfo))
                .hasValueSatisfying(flags -> assertThat(flags).containsExactlyInAnyOrder("fpu", "sse4_2", "avx2"));
    }

    @Test
    void armFeaturesAreRead() {
        List<String> cpuInfo = List.of("processor\t: 0", "Features\t: fp asimd asimddp");

        assertThat(CpuFeatures.parse(cpuInfo))
                .hasValueSatisfying(flags -> assertThat(flags).containsExactlyInAnyOrder("fp", "asimd", "asimddp"));
    }

    @Test
    void onlyWhatEveryCoreHasCounts() {
        List<String> cpuInfo = List.of("flags\t: avx2 avx512f", "flags\t: avx2 amx_tile");

        assertThat(CpuFeatures.parse(cpuInfo))
                .hasValueSatisfying(flags -> assertThat(flags).containsExactly("avx2"));
    }

    @Test
    void anUnknownFormatIsUnknownNotEmpty() {
        assertThat(CpuFeatures.parse(List.of("cpu : POWER10"))).isEmpty();
    }
}
