/** Results as CSV, JSON and pages that need nothing else. */
package dev.kleinscope.report;
