-- Roles come with the schema: a migration asks for them like for a table.
SELECT * FROM rolecall.create_base_roles();
SELECT * FROM rolecall.create_user('clinic_app', 'clinic-app-password');
SELECT * FROM rolecall.create_user_with_grants('clinic_admin', 'clinic-admin-password', ARRAY['authenticated', 'administrator']);
