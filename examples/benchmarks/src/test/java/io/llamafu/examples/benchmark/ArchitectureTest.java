package io.llamafu.examples.benchmark;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import org.junit.jupiter.api.Test;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

class ArchitectureTest {
    @Test
    void benchmarksNameNoEngineClass() {
        ArchRule rule = noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("io.llamafu.llamacpp..", "io.llamafu.jllama..")
                .because("any engine can take part");
        rule.check(new ClassFileImporter().importPackagesOf(ArchitectureTest.class));
    }
}
