-- One call for both reporting roles. It also creates the schema of the reports.
SELECT * FROM rolecall.provision_reporting_roles(withheld_tables => ARRAY['refresh_tokens', 'local_secrets']);

CREATE VIEW reporting.encounters_per_patient AS
SELECT p.name, count(e.id) AS encounters
FROM public.patients AS p
LEFT JOIN public.encounters AS e ON e.patient_id = p.id
GROUP BY p.name;
