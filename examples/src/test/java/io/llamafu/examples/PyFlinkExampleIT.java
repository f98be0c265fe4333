package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import picocli.CommandLine;

import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** The PyFlink program; skipped where the environment variable PYTHON names no Python with PyFlink. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class PyFlinkExampleIT {
    @Test
    void functionsAndModelsWorkFromPython() throws Exception {
        assumeThat(PyFlinkExample.isInstalled()).as("PyFlink is installed").isTrue();

        PyFlinkExample.Report report =
                CommandLine.populateCommand(new PyFlinkExample()).run();

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.answers()).isEqualTo(750);
    }
}
