/**
 * The errors: a class for each reason of the catalogue, which is generated, and those that the
 * client finds itself.
 */
package dev.eventfold.errors;
