package io.llamafu.jllama;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import org.junit.jupiter.api.Test;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

class ArchitectureTest {
    @Test
    void knowsNoOtherEngine() {
        ArchRule rule = noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.llamafu.llamacpp..")
                .because("engines are found by their provider, never named");
        rule.check(new ClassFileImporter().importPackagesOf(ArchitectureTest.class));
    }
}
